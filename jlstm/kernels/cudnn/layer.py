"""Operations for kernels that run a whole layer and save residuals that only they can read.

They are defined by the operations of `fused`. Derivatives for which there is no kernel come from
these too: forward mode, second derivatives, and gradients mapped by vmap.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jlstm import masking
from jlstm.cell import NO_MASKS
from jlstm.kernels import fused
from jlstm.kernels.cudnn import calls
from jlstm.kernels.plain import PLAIN
from jlstm.kernels.primitives import device_types, folding, operation
from jlstm.kernels.primitives.operands import Cotangents, Layered, Made, Moved, Through, names
from jlstm.kernels.recurrence import Inputs
from jlstm.layer import Layer
from jlstm.params import Carry, LayerParams


def run(
    layer: Layer, inputs: Inputs, *, reverse: tuple[bool, ...], dtype: jnp.dtype
) -> tuple[Carry, jax.Array]:
    """Runs a plain layer over a sequence; a `recurrence.Recurrence`.

    There are no resets, and the valid steps of a sequence are those before its length.
    """
    assert inputs.resets is None, "cuDNN takes none"
    params, carry, xs, valid = inputs.params, inputs.carry, inputs.xs, inputs.valid
    arrays = jax.tree.leaves((params, carry, xs, valid))
    known = all(isinstance(n, int) and n > 0 for n in xs.shape)
    if not known or any(map(device_types.explicit, arrays)):
        return fused.run(layer, inputs, reverse=reverse, dtype=dtype)
    lengths = None if valid is None else jnp.sum(valid, axis=0, dtype=jnp.int32)
    w_x, w_h = (a.astype(dtype) for a in params[:2])
    b = None if params.b is None else params.b.astype(dtype)
    given = Layered(w_x, w_h, b, carry, xs[None], lengths)
    made = _run(given, precise=calls.precise())
    return made.carry, made.hs


def _run(given: Layered, precise: bool) -> Through:
    return run_operation(given, reserve=calls.size_for(given, precise), precise=precise)


def _meant(given: Layered) -> tuple[Carry, jax.Array]:
    """The last carry and outputs of a run, by the operations of `fused`."""
    lengths = given.lengths
    valid = None if lengths is None else masking.within(lengths, given.xs.shape[1])
    params = LayerParams(given.w_x, given.w_h, given.b)
    inputs = Inputs(params, given.carry, given.xs[0], given.carry, valid, None, NO_MASKS, NO_MASKS)
    reverse = (False, True)[: len(given.w_h)]
    return fused.run(PLAIN, inputs, reverse=reverse, dtype=given.w_h.dtype)


def _meaning_of_run(given: Layered, reserve: int, precise: bool) -> Through:
    """The definition of a run. It has no residuals for a kernel, and returns NaN in their place."""
    carry, hs = _meant(given)
    zero = jnp.sum(hs[:, :0])  # with the sharding type of hs
    nothing = jnp.full((reserve,), jnp.nan, hs.dtype) + zero
    sequences = jnp.zeros(math.prod(hs.shape[2:-1]), hs.dtype) + zero
    return Through(carry, hs, nothing, sequences)


def _types_of_run(given: Layered, reserve: int, precise: bool) -> Through:
    state = given.carry.h.shape
    hs = (*state[:1], given.xs.shape[1], *state[1:])

    def type_of(*shape: Any) -> Any:
        return jax.ShapeDtypeStruct(shape, given.w_h.dtype)

    carry = Carry(type_of(*state), type_of(*state))
    return Through(carry, type_of(*hs), type_of(reserve), type_of(math.prod(hs[2:-1])))


def _meaning_of_gradients(given: Cotangents, precise: bool) -> Layered:
    """The definition of the gradients: they recompute the run instead of reading residuals."""

    def of(floats: Layered) -> Any:
        return _meant(floats._replace(lengths=given.at.lengths))

    back = jax.vjp(of, given.at._replace(lengths=None))[1]
    return back((given.d_carry, given.d_hs))[0]


def _types_of_gradients(given: Cotangents, precise: bool) -> Layered:
    return given.at._replace(lengths=None)


def _derivative(given: Moved, precise: bool) -> tuple[Carry, jax.Array]:
    def of(floats: Layered) -> Any:
        return _meant(floats._replace(lengths=given.at.lengths))

    return jax.jvp(of, (given.at._replace(lengths=None),), (given.d_at,))[1]


def _types_of_derivative(given: Moved, precise: bool) -> tuple[Carry, jax.Array]:
    return given.through.carry, given.through.hs


def _lowered(ctx: Any, given: Any, *, precise: bool, **_: Any) -> Callable[..., Any] | None:
    return calls.lowering(ctx, given, precise)


LOWERINGS = {"cuda": _lowered}
run_operation = operation.operation("lstm_layer", _meaning_of_run, _types_of_run, LOWERINGS)
gradients_operation = operation.operation(
    "lstm_layer_gradients", _meaning_of_gradients, _types_of_gradients, LOWERINGS
)
derivative_operation = operation.operation(
    "lstm_layer_derivative", _derivative, _types_of_derivative
)


def _run_jvp(
    given: Layered, moved: Layered, *, reserve: int, precise: bool
) -> tuple[Through, Through]:
    made: Through = run_operation(given, reserve=reserve, precise=precise)
    d_given = operation.instantiated(moved._replace(lengths=None))
    d_carry, d_hs = derivative_operation(Moved(given, made, d_given), precise=precise)
    zeros = map(device_types.zeros_like, (made.reserve, made.sequences))
    return made, Through(d_carry, d_hs, *zeros)


def _derivative_transpose(given: Moved, cts: Any, *, precise: bool) -> Moved:
    cotangents = Cotangents(given.at, given.through, *operation.instantiated(cts))
    return given._replace(d_at=gradients_operation(cotangents, precise=precise))


def _run_batched(
    given: Layered, dims: Sequence[Any], *, reserve: int, precise: bool
) -> tuple[Through, list[int | None]]:
    of = names(given)
    if any(d is not None for name, d in zip(of, dims, strict=True) if name in ("w_x", "w_h", "b")):
        # The size 0 of its residuals tells `calls.lowering` that no kernel can compute gradients.
        meaning = functools.partial(_meaning_of_run, reserve=0, precise=precise)
        axes = jax.tree.unflatten(jax.tree.structure(given), dims)
        return jax.vmap(meaning, (axes,))(given), [0] * 5
    folded, _, _ = folding.batch(given, dims, (False,) * len(given.w_h))
    made = _run(folded, precise)
    return made, [*folding.unbatch(Made(made.carry, made.hs), 1, False)[1], None, None]


operation.define_jvp(run_operation, _run_jvp)
operation.define_transpose(derivative_operation, _derivative_transpose)
operation.define_batching(run_operation, _run_batched)
