"""The recurrence as JAX primitives with derivative and batching rules and a lowering per platform.

There are three primitives: the run over a sequence, its derivative at a point, and the transpose of
the derivative. Without a kernel they lower to the scans of `fused_as_scans`, unrolled on GPUs and
TPUs. The derivative also needs products over all steps, outside the loop: `fused_products`.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jlstm.dtypes import state_dtype
from jlstm.kernels import fused_as_scans, fused_products, unrolled
from jlstm.kernels.cpu import lowering as cpu
from jlstm.kernels.primitives import device_types, folding, operation
from jlstm.kernels.primitives.operands import (
    Backward,
    Derivative,
    Forward,
    Gradients,
    Residuals,
    RunResults,
    over_time,
)
from jlstm.kernels.primitives.operation import Lowering, Operation
from jlstm.kernels.recurrence import Inputs
from jlstm.kernels.tpu import lowering as tpu
from jlstm.layer import Layer
from jlstm.params import Carry


def run(
    layer: Layer, inputs: Inputs, *, reverse: tuple[bool, ...], dtype: jnp.dtype
) -> tuple[Carry, jax.Array]:
    """Runs all directions of one plain layer over a sequence; a `recurrence.Recurrence`."""
    assert not jax.tree.leaves((inputs.masks, inputs.held)), "a plain layer draws nothing"
    params, carry, xs = inputs.params, inputs.carry, inputs.xs
    w_x, w_h, xs = (a.astype(dtype) for a in (params.w_x, params.w_h, xs))
    b = None if params.b is None else params.b.astype(state_dtype(dtype))
    initial = None
    if inputs.resets is not None:
        initial = Carry(*(jnp.broadcast_to(a, carry.c.shape) for a in inputs.initial))
    valid, resets = (None if a is None else a[None] for a in (inputs.valid, inputs.resets))
    given = Forward(w_x, w_h, b, carry, initial, xs[None], valid, resets)
    made = run_operation(given, reverse=reverse, keep=False)
    return made.carry, made.hs


def _result_types(given: Any, keep: bool = False, **_: Any) -> Any:
    """The types of an operation's results; `operands` says which dtype each has."""
    groups, units = given.w_h.shape[:2]
    time, *batch_shape = over_time(given).shape[1:-1]
    dtype = given.w_h.dtype
    wide = state_dtype(dtype)

    def typed(dtype: jnp.dtype, *shape: Any) -> Any:
        return jax.ShapeDtypeStruct((groups, *shape), dtype)

    state = typed(wide, *batch_shape, units)
    if isinstance(given, Backward):
        initial = None if given.resets is None else Carry(state, state)
        d_z = typed(dtype, time, *batch_shape, 4 * units)
        return Gradients(d_z, Carry(state, state), initial)
    hs, c_before = (typed(a, time, *batch_shape, units) for a in (dtype, wide))
    gates = typed(wide, time, *batch_shape, 4 * units)
    residuals = Residuals(gates, c_before, hs) if keep else None
    return RunResults(Carry(state, state), hs, residuals)


def _tpu(ctx: Any, given: Any, **options: Any) -> Any:
    return tpu.lowering(ctx, given, **options) or unrolled.lowering(ctx, given, **options)


UNROLLED: dict[str, Lowering] = dict.fromkeys(unrolled.PLATFORMS, unrolled.lowering)
LOWERINGS: dict[str, Lowering] = {**UNROLLED, "cpu": cpu.lowering, "tpu": _tpu}
run_operation = operation.define("lstm_run", fused_as_scans.run, _result_types, LOWERINGS)
derivative_operation = operation.define(
    "lstm_derivative", fused_as_scans.derivative, _result_types, UNROLLED
)
backward_operation = operation.define(
    "lstm_backward", fused_as_scans.backward, _result_types, LOWERINGS
)


def _batched(op: Operation, given: Any, dims: Sequence[Any], **options: Any) -> Any:
    if not folding.foldable(given, dims):
        definition = functools.partial(op.definition, **options)
        return operation.batched_by_definition(definition, given, dims)
    groups = len(options["reverse"])
    given, options["reverse"], members = folding.batch(given, dims, options["reverse"])
    return folding.unbatch(op(given, **options), groups, members)


def _run_jvp(given: Forward, moved: Forward, **options: Any) -> tuple[RunResults, RunResults]:
    if options["keep"]:  # only this rule binds with keep=True, so this is a second derivative
        tangents = operation.tangents_by_definition(run_operation, given, moved, **options)
        return run_operation(given, **options), tangents
    made: RunResults = run_operation(given, **(options | {"keep": True}))
    residuals = made.residuals
    assert residuals is not None
    linear = Derivative(
        given.w_h, residuals.gates, residuals.c_before, given.valid, given.resets,
        fused_products.tangent(given, moved, residuals),
        *_instantiated_like((moved.carry, moved.initial), (given.carry, given.initial)),
    )  # fmt: skip
    tangents = derivative_operation(linear, reverse=options["reverse"])
    return made._replace(residuals=None), tangents


def _derivative_transpose(given: Derivative, cts: RunResults, *, reverse: Any) -> Derivative:
    state, hs = _zero_state(given.c_before), given.c_before.astype(given.w_h.dtype)
    cts = _instantiated_like(cts, RunResults(state, hs))
    gradients: Gradients = backward_operation(
        Backward(*given[:5], cts.carry, cts.hs), reverse=reverse
    )
    return given._replace(**gradients._asdict())


def _backward_transpose(given: Backward, cts: Gradients, *, reverse: Any) -> Backward:
    state = _zero_state(given.c_before)
    initial = None if given.resets is None else state
    gates = given.gates.astype(given.w_h.dtype)
    cts = _instantiated_like(cts, Gradients(gates, state, initial))
    tangents: RunResults = derivative_operation(Derivative(*given[:5], *cts), reverse=reverse)
    return given._replace(d_last=tangents.carry, d_hs=tangents.hs)


def _zero_state(over_time: jax.Array) -> Carry:
    """Zeros [G, *batch, H], with the sharding type of an array [G, T, *batch, H]."""
    zero = jnp.sum(over_time[:, :0], axis=1)
    return Carry(zero, zero)


def _instantiated_like(cts: Any, like: Any) -> Any:
    """A tree of cotangents, with ad.Zero replaced by zeros with the types of the arrays `like`.

    Under an explicit mesh, JAX's own zeros have a sharding that a scan does not accept.
    """

    def typed(ct: Any, a: jax.Array) -> jax.Array:
        return device_types.zeros_like(a) if operation.is_zero(ct) else ct

    return jax.tree.map(typed, cts, like, is_leaf=operation.is_zero)


for _op in (run_operation, derivative_operation, backward_operation):
    operation.define_batching(_op, functools.partial(_batched, _op))
operation.define_jvp(run_operation, _run_jvp)
operation.define_transpose(derivative_operation, _derivative_transpose)
operation.define_transpose(backward_operation, _backward_transpose)
