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
from jlstm.kernels.primitives.operands import (
    LayerBackward,
    LayerDerivative,
    LayerForward,
    LayerResults,
    names,
)
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
    given = LayerForward(w_x, w_h, b, carry, xs[None], lengths)
    made = _run(given, precise=calls.precise())
    return made.carry, made.hs


def _run(given: LayerForward, precise: bool) -> LayerResults:
    return run_operation(given, reserve=calls.size_for(given, precise), precise=precise)


def _by_fused(given: LayerForward) -> tuple[Carry, jax.Array]:
    """The last carry and outputs of a run, by the operations of `fused`."""
    lengths = given.lengths
    valid = None if lengths is None else masking.within(lengths, given.xs.shape[1])
    params = LayerParams(given.w_x, given.w_h, given.b)
    inputs = Inputs(params, given.carry, given.xs[0], given.carry, valid, None, NO_MASKS, NO_MASKS)
    reverse = (False, True)[: len(given.w_h)]
    return fused.run(PLAIN, inputs, reverse=reverse, dtype=given.w_h.dtype)


def _fused_with(lengths: jax.Array | None) -> Callable[[LayerForward], tuple[Carry, jax.Array]]:
    """`_by_fused` as a function of the other operands, all of floating point."""
    return lambda floats: _by_fused(floats._replace(lengths=lengths))


def _definition_of_run(given: LayerForward, reserve: int, precise: bool) -> LayerResults:
    """The definition of a run. Its reserve space is NaN, because only cuDNN can write one."""
    carry, hs = _by_fused(given)
    zero = jnp.sum(hs[:, :0])  # with the sharding type of hs
    nothing = jnp.full((reserve,), jnp.nan, hs.dtype) + zero
    sequences = jnp.zeros(math.prod(hs.shape[2:-1]), hs.dtype) + zero
    return LayerResults(carry, hs, nothing, sequences)


def _types_of_run(given: LayerForward, reserve: int, precise: bool) -> LayerResults:
    state = given.carry.h.shape
    hs = (*state[:1], given.xs.shape[1], *state[1:])

    def type_of(*shape: Any) -> Any:
        return jax.ShapeDtypeStruct(shape, given.w_h.dtype)

    carry = Carry(type_of(*state), type_of(*state))
    return LayerResults(carry, type_of(*hs), type_of(reserve), type_of(math.prod(hs[2:-1])))


def _definition_of_gradients(given: LayerBackward, precise: bool) -> LayerForward:
    """The definition of the gradients: they recompute the run and read no reserve space."""
    back = jax.vjp(_fused_with(given.at.lengths), given.at._replace(lengths=None))[1]
    return back((given.d_carry, given.d_hs))[0]


def _types_of_gradients(given: LayerBackward, precise: bool) -> LayerForward:
    return given.at._replace(lengths=None)


def _derivative(given: LayerDerivative, precise: bool) -> tuple[Carry, jax.Array]:
    of = _fused_with(given.at.lengths)
    return jax.jvp(of, (given.at._replace(lengths=None),), (given.d_at,))[1]


def _types_of_derivative(given: LayerDerivative, precise: bool) -> tuple[Carry, jax.Array]:
    return given.through.carry, given.through.hs


def _lowered(ctx: Any, given: Any, *, precise: bool, **_: Any) -> Callable[..., Any] | None:
    return calls.lowering(ctx, given, precise)


LOWERINGS = {"cuda": _lowered}
run_operation = operation.define("lstm_layer", _definition_of_run, _types_of_run, LOWERINGS)
gradients_operation = operation.define(
    "lstm_layer_gradients", _definition_of_gradients, _types_of_gradients, LOWERINGS
)
derivative_operation = operation.define("lstm_layer_derivative", _derivative, _types_of_derivative)


def _run_jvp(
    given: LayerForward, moved: LayerForward, *, reserve: int, precise: bool
) -> tuple[LayerResults, LayerResults]:
    made: LayerResults = run_operation(given, reserve=reserve, precise=precise)
    d_given = operation.instantiated(moved._replace(lengths=None))
    d_carry, d_hs = derivative_operation(LayerDerivative(given, made, d_given), precise=precise)
    zeros = map(device_types.zeros_like, (made.reserve, made.sequences))
    return made, LayerResults(d_carry, d_hs, *zeros)


def _derivative_transpose(given: LayerDerivative, cts: Any, *, precise: bool) -> LayerDerivative:
    cotangents = LayerBackward(given.at, given.through, *operation.instantiated(cts))
    return given._replace(d_at=gradients_operation(cotangents, precise=precise))


def _run_batched(
    given: LayerForward, dims: Sequence[Any], *, reserve: int, precise: bool
) -> tuple[LayerResults, list[int | None]]:
    of = names(given)
    if any(d is not None for name, d in zip(of, dims, strict=True) if name in ("w_x", "w_h", "b")):
        # A reserve space of size 0 tells `calls.lowering` that no kernel can compute gradients.
        definition = functools.partial(_definition_of_run, reserve=0, precise=precise)
        return operation.batched_by_definition(definition, given, dims)
    folded, _, _ = folding.batch(given, dims, (False,) * len(given.w_h))
    axes = [1, 1, 2, None, None]  # of c, h, hs, reserve and sequences
    return _run(folded, precise), axes


operation.define_jvp(run_operation, _run_jvp)
operation.define_transpose(derivative_operation, _derivative_transpose)
operation.define_batching(run_operation, _run_batched)
