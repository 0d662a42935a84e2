"""Lowers the fused operations for CPU: foreign function calls of the kernels in `native`.

Each number format has its own functions. Results have the dtypes that `native/formats.h` names.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.dtypes import state_dtype
from jlstm.kernels import plain
from jlstm.kernels.cpu import library
from jlstm.kernels.primitives import device_types, partition
from jlstm.kernels.primitives.operands import (
    Backward,
    Forward,
    Gradients,
    ProductsBackward,
    Residuals,
    RunResults,
    over_time,
    result_names,
)
from jlstm.layer import Layer
from jlstm.params import Carry

# Shape that stands for an absent operand, or a result that is not wanted.
NOTHING = (0,)


def refusal(layer: Layer, dtype: str, platform: str) -> str | None:
    """Why the kernels do not support a layer, or None if they do."""
    if platform != "cpu":
        return f"it runs on the CPU only, not on {platform}"
    return plain.refusal(layer, dtype, library.FORMATS) or library.load()[1] or None


def lowering(ctx: Any, given: Any, reverse: Any, keep: bool = False) -> Callable[..., Any] | None:
    """A function of an operation's operands that calls its kernel, or None if no kernel can run.

    Args:
      ctx: the context of the lowering.
      given: the types of the operands: Forward or Backward.
      reverse: for each group, whether it runs backward in time.
      keep: whether a run returns the residuals for derivatives.
    """
    if not _supported(ctx):
        return None

    def call(given: Any) -> Any:
        if isinstance(given, Forward):
            return _run(given, reverse, keep)
        return _backward(given, reverse)

    if partition.local(ctx.module_context.axis_context):
        return call
    if over_time(given).ndim > 4 and not device_types.plain(ctx.avals_in):
        return None  # the kernels flatten the batch, which JAX refuses for sharded axes
    return partition.over_batch(call, given, result_names(given, keep), ctx.avals_out)


def gradients(
    ctx: Any, given: ProductsBackward, wanted: tuple[bool, ...]
) -> Callable[[ProductsBackward], list[jax.Array]] | None:
    """A function of the operands that returns the gradients `wanted`, or None.

    None for programs over several devices, where XLA's products are used: XLA can sum the devices'
    contributions, which a foreign call cannot.
    """
    if not partition.local(ctx.module_context.axis_context) or not _supported(ctx):
        return None

    def call(given: ProductsBackward) -> list[jax.Array]:
        w_x, w_h, xs, h_before, d_z = given
        over_time = (*d_z.shape[:2], int(np.prod(d_z.shape[2:-1])))
        flat = (xs.shape[0], *over_time[1:], xs.shape[-1])
        shapes = (w_x.shape, w_h.shape, w_x.shape[::2], flat)
        dtype, wide = w_x.dtype, state_dtype(w_x.dtype)
        types = (wide, wide, wide, dtype)
        out = _foreign(
            f"jlstm_gradients_{dtype}",
            [(s if want else NOTHING, a) for s, a, want in zip(shapes, types, wanted, strict=True)],
        )(
            w_x,
            xs.reshape(flat),
            h_before.reshape(*over_time, -1),
            d_z.reshape(*over_time, -1),
        )
        out[:2] = (a.astype(dtype) for a in out[:2])  # the kernel sums weight gradients wide
        out[3] = out[3].reshape(xs.shape) if wanted[3] else out[3]
        return [a for a, want in zip(out, wanted, strict=True) if want]

    return call


def _supported(ctx: Any) -> bool:
    """Whether the kernels can run an operation. Exported programs must run without them."""
    known = all(
        a.dtype.name in (*library.FORMATS, "bool") and 0 not in a.shape for a in ctx.avals_in
    )
    exported = ctx.module_context.lowering_parameters.for_export
    return known and not exported and library.load()[0] is not None


def _run(given: Forward, reverse: tuple[bool, ...], keep: bool) -> RunResults:
    dtype, wide = given.w_h.dtype, state_dtype(given.w_h.dtype)
    groups, time, *batch_shape, _ = (given.w_h.shape[0], *given.xs.shape[1:])
    batch, units = int(np.prod(batch_shape)), given.w_h.shape[1]
    state, over_time = (groups, batch, units), (groups, time, batch)
    residuals = [(*over_time, n * units) for n in (4, 1, 1)] if keep else [NOTHING] * 3
    hs = (time, batch, groups, units) if _side_by_side(reverse) else (*over_time, units)
    shapes = (state, state, hs, *residuals)
    types = (wide, wide, dtype, wide, wide, dtype)
    out = _foreign(f"jlstm_forward_{dtype}", zip(shapes, types, strict=True))(
        given.w_x,
        given.w_h,
        _or_nothing(given.b, wide),
        *(a.reshape(state) for a in given.carry),
        *_states_or_nothing(given.initial, state, wide),
        given.xs.reshape(given.xs.shape[0], time, batch, -1),
        *(_flags_or_nothing(a, batch) for a in (given.valid, given.resets)),
        **_directions(reverse),
    )
    out[2] = jnp.moveaxis(out[2], 2, 0) if _side_by_side(reverse) else out[2]
    out = [a if a.shape == NOTHING else _batch_restored(a, batch_shape) for a in out]
    return RunResults(Carry(*out[:2]), out[2], Residuals(*out[3:]) if keep else None)


def _backward(given: Backward, reverse: tuple[bool, ...]) -> Gradients:
    groups, time, *batch_shape, units = given.d_hs.shape
    batch = int(np.prod(batch_shape))
    state, over_time = (groups, batch, units), (groups, time, batch)
    of_initial = NOTHING if given.resets is None else state
    dtype, wide = given.w_h.dtype, state_dtype(given.w_h.dtype)
    shapes = (state, state, of_initial, of_initial)
    call = _foreign(
        f"jlstm_backward_{dtype}",
        [((*over_time, 4 * units), dtype), *((shape, wide) for shape in shapes)],
        input_output_aliases={1: 0} if dtype == wide else None,  # d_z overwrites the gates
    )
    d_hs = given.d_hs.reshape(*over_time, -1)
    out = call(
        given.w_h,
        given.gates.reshape(*over_time, -1),
        given.c_before.reshape(*over_time, -1),
        *(a.reshape(state) for a in given.d_last),
        jnp.moveaxis(d_hs, 0, 2) if _side_by_side(reverse) else d_hs,
        *(_flags_or_nothing(a, batch) for a in (given.valid, given.resets)),
        **_directions(reverse),
    )
    out = [a if a.shape == NOTHING else _batch_restored(a, batch_shape) for a in out]
    return Gradients(out[0], Carry(*out[1:3]), None if given.resets is None else Carry(*out[3:]))


def _side_by_side(reverse: tuple[bool, ...]) -> bool:
    """Whether outputs are stored as [T, batch, G, H], so that "concat" costs no copy."""
    return reverse == (False, True)


def _directions(reverse: tuple[bool, ...]) -> dict[str, Any]:
    return {
        "reverse": np.array(reverse, np.int64),
        "side_by_side": np.int64(_side_by_side(reverse)),
    }


def _foreign(name: str, types: Iterable[Any], **settings: Any) -> Callable[..., Any]:
    """A function of the library whose results have these shapes and dtypes."""
    results = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in types]
    return jax.ffi.ffi_call(name, results, **settings)


def _or_nothing(a: jax.Array | None, dtype: jnp.dtype) -> jax.Array:
    return jnp.zeros(NOTHING, dtype) if a is None else a


def _states_or_nothing(carry: Carry | None, shape: Any, dtype: jnp.dtype) -> list[jax.Array]:
    states = carry or (None, None)
    return [_or_nothing(None if a is None else a.reshape(shape), dtype) for a in states]


def _flags_or_nothing(a: jax.Array | None, batch: int) -> jax.Array:
    if a is None:
        return jnp.zeros(NOTHING, bool)
    return a.reshape(*a.shape[:2], batch)


def _batch_restored(a: jax.Array, batch_shape: Any) -> jax.Array:
    return a.reshape(*a.shape[: a.ndim - 2], *batch_shape, a.shape[-1])
