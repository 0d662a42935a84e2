"""Calls of cuDNN on NVIDIA GPUs, through jax.experimental.rnn."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jlstm import masking
from jlstm.kernels import plain
from jlstm.kernels.primitives import partition
from jlstm.kernels.primitives.operands import LayerBackward, LayerForward, LayerResults
from jlstm.layer import Layer
from jlstm.params import Carry

# Values of jax_default_matmul_precision that let cuDNN round operands to TensorFloat-32.
NARROW = (
    "none", "default", "fastest", "bfloat16", "tensorfloat32", "high", "bfloat16_3x",
    "bf16_bf16_f32", "bf16_bf16_bf16", "f16_f16_f16", "f16_f16_f32", "tf32_tf32_f32",
)  # fmt: skip


def refusal(layer: Layer, dtype: str, platform: str) -> str | None:
    """Why cuDNN does not support a layer, or None if it does."""
    if platform != "cuda":
        return f"it runs on NVIDIA GPUs only, not on {platform}"
    if dtype != "float32":
        return f"JAX calls it with float32 only, not with {dtype}"
    if layer.reverse:
        return "it runs layers forward or in both directions, not backward alone"
    return plain.refusal(layer, dtype, ("float32",)) or absence()


@functools.cache
def absence() -> str | None:
    """Why cuDNN cannot be called here, or None if it can.

    A call can be lowered only on a machine with a GPU, because only cuDNN itself can tell how much
    memory it needs.
    """
    if jax.default_backend() != "gpu":
        return (
            "JAX does not run on a GPU here, and only there cuDNN can tell how much memory it needs"
        )
    try:
        reserve_size(1, 1, 1, 1, 1, precise=True)
    except Exception as error:  # the driver, the plugin and cuDNN raise various types
        return f"asking it how much memory it needs failed: {error}"
    return None


def precise() -> bool:
    """Whether JAX's settings forbid rounding the float32 operands of products."""
    asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return str(asked).lower() not in NARROW


def reserve_size(
    directions: int, time: int, batch: int, inputs: int, units: int, *, precise: bool
) -> int:
    """Size of the reserve space of a run, in numbers. Gradients need it."""

    def state() -> Any:
        return jax.ShapeDtypeStruct((directions, batch, units), jnp.float32)

    size = directions * 4 * units * (inputs + units + 2)
    forward = functools.partial(_forward, directions, inputs, units, precise)
    _, residuals = jax.eval_shape(
        forward,
        jax.ShapeDtypeStruct((batch, time, inputs), jnp.float32),
        state(),
        state(),
        jax.ShapeDtypeStruct((size,), jnp.float32),
        jax.ShapeDtypeStruct((batch,), jnp.int32),
    )
    return residuals[-1].size


def size_for(given: LayerForward, precise: bool) -> int:
    """`reserve_size` for the operands of a run."""
    directions, inputs, units = (*given.w_x.shape[:2], given.w_h.shape[1])
    time, *batch_shape = given.xs.shape[1:-1]
    return reserve_size(directions, time, math.prod(batch_shape), inputs, units, precise=precise)


def lowering(
    ctx: Any, given: LayerForward | LayerBackward, precise: bool
) -> Callable[..., Any] | None:
    """A function of an operation's operands that calls cuDNN, or None if the scan must run."""
    context = ctx.module_context
    exported = getattr(context.lowering_parameters, "for_export", False)
    if exported or not partition.local(context.axis_context):
        return None
    if isinstance(given, LayerBackward) and not _reserve_fits(given, precise):
        return None
    return functools.partial(run if isinstance(given, LayerForward) else gradients, precise=precise)


def _reserve_fits(given: LayerBackward, precise: bool) -> bool:
    """Whether the residuals are of this run, and not of a run over the larger batch of a vmap."""
    through, batch = given.through, math.prod(given.at.xs.shape[2:-1])
    if through.sequences.shape[0] != batch:
        return False
    return through.reserve.size == size_for(given.at, precise)


def register() -> None:
    """Registers cuDNN's functions with XLA, if JAX's plugin for GPUs is installed."""
    import jax.experimental.rnn  # noqa: F401


def run(given: LayerForward, precise: bool) -> LayerResults:
    """Runs a layer with cuDNN."""
    directions, units, inputs = given.w_h.shape[0], given.w_h.shape[1], given.w_x.shape[1]
    forward = functools.partial(_forward, directions, inputs, units, precise)
    (ys, h, c), residuals = forward(*_arguments(given))
    hs = _time_major(ys, given)
    carry = Carry(*(a.reshape(given.carry.c.shape) for a in (c, h)))
    if given.lengths is not None:
        carry = masking.select(given.lengths == 0, given.carry, carry)
        hs = masking.where(masking.within(given.lengths, hs.shape[1]), hs, 0.0)
    return LayerResults(carry, hs, residuals[-1], jnp.zeros(len(ys), ys.dtype))


def gradients(given: LayerBackward, precise: bool) -> LayerForward:
    """Gradients for the operands of a run, None for lengths."""
    from jax.experimental import rnn  # imported here, because the import registers operations

    at, through = given.at, given.through
    directions, units, inputs = at.w_h.shape[0], at.w_h.shape[1], at.w_x.shape[1]
    d_carry, d_hs, valid = given.d_carry, given.d_hs, None
    if at.lengths is not None:
        d_carry = masking.select(at.lengths > 0, d_carry, _zeros(d_carry))
        valid = masking.within(at.lengths, d_hs.shape[1])
        d_hs = masking.where(valid, d_hs, 0.0)
    x, h, c, weights, lengths = _arguments(at)
    residuals = x, h, c, weights, lengths, _batch_major(through.hs), through.reserve
    d_outputs = _batch_major(d_hs), d_carry.h.reshape(h.shape), d_carry.c.reshape(c.shape)
    d_x, d_h, d_c, d_weights, _ = rnn.lstm_bwd(
        inputs, units, 1, 0.0, directions == 2, _precision(precise), residuals, d_outputs
    )
    d_first = Carry(*(a.reshape(at.carry.c.shape) for a in (d_c, d_h)))
    d_xs = jnp.moveaxis(d_x, 1, 0).reshape(at.xs.shape)
    if at.lengths is not None:
        d_first = masking.select(at.lengths > 0, d_first, given.d_carry)
        d_xs = masking.where(valid, d_xs, 0.0)
    d_w_x, d_w_h, d_b = unflatten(d_weights, directions, inputs, units)
    return LayerForward(d_w_x, d_w_h, None if at.b is None else d_b, d_first, d_xs, None)


def flatten(w_x: jax.Array, w_h: jax.Array, b: jax.Array | None) -> jax.Array:
    """cuDNN's weight vector from [D, I, 4H], [D, H, 4H] and [D, 4H]; its second bias is 0."""
    matrices = [jnp.swapaxes(w, 0, 1) for pair in zip(w_x, w_h, strict=True) for w in pair]
    none = jnp.zeros((len(w_x), w_x.shape[-1]), w_x.dtype)
    biases = jnp.stack([none if b is None else b, none], axis=1)
    return jnp.concatenate([a.ravel() for a in (*matrices, biases)])


def unflatten(
    vector: jax.Array, directions: int, inputs: int, units: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """w_x, w_h and the first bias from cuDNN's weight vector."""
    columns = 4 * units
    matrices, biases = jnp.split(vector, [directions * columns * (inputs + units)])
    each = matrices.reshape(directions, -1)
    w_x, w_h = jnp.split(each, [columns * inputs], axis=1)
    w_x, w_h = w_x.reshape(directions, columns, -1), w_h.reshape(directions, columns, -1)
    b = biases.reshape(directions, 2, columns)[:, 0]
    return jnp.swapaxes(w_x, 1, 2), jnp.swapaxes(w_h, 1, 2), b


def _forward(
    directions: int,
    inputs: int,
    units: int,
    precise: bool,
    x: Any,
    h: Any,
    c: Any,
    weights: Any,
    lengths: Any,
) -> Any:
    from jax.experimental import rnn

    both = directions == 2
    return rnn.lstm_fwd(x, h, c, weights, lengths, inputs, units, 1, 0.0, both, _precision(precise))


def _precision(precise: bool) -> lax.Precision:
    return lax.Precision.HIGHEST if precise else lax.Precision.HIGH


def _arguments(given: LayerForward) -> tuple[jax.Array, ...]:
    """x [B, T, I], h and c [D, B, H], the weight vector and lengths, in cuDNN's order."""
    time = given.xs.shape[1]
    batch = math.prod(given.xs.shape[2:-1])
    carry = given.carry
    if given.lengths is None:
        lengths = jnp.full((batch,), time, jnp.int32)
    else:
        # A length of 0 gives NaN (https://github.com/jax-ml/jax/issues/15183), and the carry of
        # such a sequence may be NaN itself. Such a sequence takes one step from a zero carry, and
        # `run` discards its result.
        carry = masking.select(given.lengths == 0, _zeros(carry), carry)
        lengths = jnp.maximum(given.lengths.astype(jnp.int32), 1).reshape(batch)
    states = [a.reshape(a.shape[0], batch, -1) for a in (carry.h, carry.c)]
    weights = flatten(given.w_x, given.w_h, given.b)
    return _batch_major(given.xs), *states, weights, lengths


def _batch_major(a: jax.Array) -> jax.Array:
    """[D, T, *batch, F] as [B, T, D F]."""
    directions, time, features = a.shape[0], a.shape[1], a.shape[-1]
    a = a.reshape(directions, time, -1, features)
    return a.transpose(2, 1, 0, 3).reshape(a.shape[2], time, -1)


def _time_major(ys: jax.Array, given: LayerForward) -> jax.Array:
    """[B, T, D H] as [D, T, *batch, H]."""
    directions, units = given.w_h.shape[:2]
    hs = ys.reshape(*ys.shape[:2], directions, units).transpose(2, 1, 0, 3)
    return hs.reshape(directions, ys.shape[1], *given.xs.shape[2:-1], units)


def _zeros(carry: Carry) -> Carry:
    return Carry(*map(jnp.zeros_like, carry))
