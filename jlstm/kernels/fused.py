"""The recurrence as JAX primitives with derivative and batching rules and a lowering per platform.

There are three primitives: the run over a sequence, its derivative at a point, and the transpose of
the derivative. Without a kernel they lower to the scans of `fused_as_scans`, unrolled on GPUs and
TPUs. The derivative also needs products over all steps, outside the loop: `fused_products`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from jlstm.kernels import fused_as_scans, fused_products, unrolled
from jlstm.kernels.cpu import lowering as cpu
from jlstm.kernels.primitives import device_types, folding
from jlstm.kernels.primitives.operands import (
    Backward,
    Forward,
    Gradients,
    Kept,
    Linear,
    Made,
    names,
    over_time,
)
from jlstm.kernels.primitives.operation import Lowering, operation, through_meaning
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
    rounded = dtype == jnp.bfloat16
    if rounded:  # the kernels compute in float32, so rounded numbers are stored as float32
        w_x, w_h, xs = (fused_as_scans.round_to_bfloat16(a) for a in (*params[:2], xs))
    else:
        w_x, w_h = (a.astype(dtype) for a in params[:2])
    b = None if params.b is None else params.b.astype(w_h.dtype)
    initial = None
    if inputs.resets is not None:
        initial = Carry(*(jnp.broadcast_to(a, carry.c.shape) for a in inputs.initial))
    valid, resets = (None if a is None else a[None] for a in (inputs.valid, inputs.resets))
    given = Forward(w_x, w_h, b, carry, initial, xs[None], valid, resets)
    made = _bind(run_p, given, reverse=reverse, keep=False, rounded=rounded)
    return made.carry, made.hs


def _bind(primitive: Primitive, given: Any, **options: Any) -> Any:
    leaves, tree = jax.tree.flatten(given)
    results = primitive.bind(*leaves, tree=tree, **options)
    return jax.tree.unflatten(jax.tree.structure(_result(given, **options)), results)


def _result(given: Any, keep: bool = False, **_: Any) -> Any:
    """The results of an operation, as a tree of shapes."""
    groups, units = given.w_h.shape[:2]
    time, *batch_shape = over_time(given).shape[1:-1]
    state: Any = jax.ShapeDtypeStruct((groups, *batch_shape, units), given.w_h.dtype)
    hs: Any = jax.ShapeDtypeStruct((groups, time, *batch_shape, units), given.w_h.dtype)
    z: Any = jax.ShapeDtypeStruct((groups, time, *batch_shape, 4 * units), given.w_h.dtype)
    if isinstance(given, Backward):
        initial = None if given.resets is None else Carry(state, state)
        return Gradients(z, Carry(state, state), initial)
    return Made(Carry(state, state), hs, Kept(z, hs, hs) if keep else None)


def _flat(meaning: Callable[..., Any]) -> Callable[..., Any]:
    """`meaning(operands, **options)` as a function of the operands' leaves."""

    def flat(*leaves: Any, tree: Any, **options: Any) -> Any:
        return jax.tree.leaves(meaning(jax.tree.unflatten(tree, leaves), **options))

    return flat


def _result_types(*avals: Any, tree: Any, **options: Any) -> Any:
    return jax.tree.leaves(_result(jax.tree.unflatten(tree, avals), **options))


def _lowered(by: Callable[..., Any]) -> Lowering:
    def lowering(ctx: Any, *, tree: Any, **options: Any) -> Any:
        return by(ctx, jax.tree.unflatten(tree, ctx.avals_in), **options)

    return lowering


def _tpu(ctx: Any, *operands: Any, **options: Any) -> Any:
    return tpu.lowering(ctx, *operands, **options) or unrolled.lowering(ctx, *operands, **options)


UNROLLED: dict[str, Lowering] = dict.fromkeys(unrolled.PLATFORMS, _lowered(unrolled.lowering))
LOWERINGS = {**UNROLLED, "cpu": _lowered(cpu.lowering), "tpu": _lowered(_tpu)}
_run, _derivative, _backward = map(
    _flat, (fused_as_scans.run, fused_as_scans.derivative, fused_as_scans.backward)
)
run_p = operation("lstm_run", _run, _result_types, LOWERINGS)
derivative_p = operation("lstm_derivative", _derivative, _result_types, UNROLLED)
backward_p = operation("lstm_backward", _backward, _result_types, LOWERINGS)


def _batched(
    primitive: Primitive, args: Sequence[Any], dims: Sequence[Any], *, tree: Any, **options: Any
) -> Any:
    groups = len(options["reverse"])
    operands, options["reverse"], members = folding.batch(
        names(jax.tree.unflatten(tree, args)), args, dims, options["reverse"]
    )
    made = _bind(primitive, jax.tree.unflatten(tree, operands), **options)
    return folding.unbatch(names(made), jax.tree.leaves(made), groups, members)


for _primitive in (run_p, derivative_p, backward_p):
    batching.primitive_batchers[_primitive] = functools.partial(_batched, _primitive)


def _run_jvp(
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    tree: Any,
    reverse: Any,
    keep: bool,
    rounded: bool,
) -> Any:
    given: Forward = jax.tree.unflatten(tree, primals)
    moved: Forward = jax.tree.unflatten(tree, tangents)
    options = {"reverse": reverse, "keep": True, "rounded": rounded}
    if keep:  # only this rule binds with keep=True, so this is a second derivative
        return through_meaning(run_p, _run, primals, tangents, tree=tree, **options)
    made: Made = _bind(run_p, given, **options)
    assert made.kept is not None

    d_z = fused_products.tangent(given, moved, made.kept)
    d_carry, d_initial = jax.tree.map(
        ad.instantiate_zeros, (moved.carry, moved.initial), is_leaf=lambda a: isinstance(a, ad.Zero)
    )
    linear = Linear(
        given.w_h, made.kept.gates, made.kept.c_before, given.valid, given.resets,
        d_z, d_carry, d_initial,
    )  # fmt: skip
    d_made = _bind(derivative_p, linear, reverse=reverse)
    results = Made(made.carry, made.hs)
    return jax.tree.leaves(results), jax.tree.leaves(d_made)


def _typed_zeros(cts: Sequence[Any], over_time: jax.Array) -> list[jax.Array]:
    """Cotangents of the last carry and of the outputs [G, T, *batch, H], with ad.Zero as arrays.

    Under an explicit mesh, JAX's own zeros have a sharding that a scan does not accept.
    """
    state = jnp.sum(over_time[:, :0], axis=1)
    like = state, state, over_time
    return [
        device_types.zeros_like(a) if isinstance(ct, ad.Zero) else ct
        for ct, a in zip(cts, like, strict=True)
    ]


def where_linear(args: Sequence[Any], known: int, gradients: list[Any]) -> list[Any]:
    """Cotangents of all operands: `gradients` for undefined primals, None for all others.

    The first `known` operands are not linear. `gradients` has one entry for each of the rest.
    """
    moving = [ad.is_undefined_primal(a) for a in args[known:]]
    return [None] * known + [g if m else None for g, m in zip(gradients, moving, strict=True)]


def _derivative_transpose(cts: Sequence[Any], *args: Any, tree: Any, reverse: Any) -> Any:
    given: Linear = jax.tree.unflatten(tree, args)
    d_c, d_h, d_hs = _typed_zeros(cts, given.c_before)
    back = Backward(*given[:5], Carry(d_c, d_h), d_hs)
    made: Gradients = _bind(backward_p, back, reverse=reverse)
    return where_linear(args, len(jax.tree.leaves(given[:5])), jax.tree.leaves(made))


def _backward_transpose(cts: Sequence[Any], *args: Any, tree: Any, reverse: Any) -> Any:
    given: Backward = jax.tree.unflatten(tree, args)
    tangents = [ad.instantiate_zeros(ct) for ct in cts]
    d_initial = Carry(*tangents[3:]) if len(tangents) > 3 else None
    linear = Linear(*given[:5], tangents[0], Carry(*tangents[1:3]), d_initial)
    made: Made = _bind(derivative_p, linear, reverse=reverse)
    return where_linear(args, len(jax.tree.leaves(given[:5])), jax.tree.leaves(made))


ad.primitive_jvps[run_p] = _run_jvp
ad.primitive_transposes[derivative_p] = _derivative_transpose
ad.primitive_transposes[backward_p] = _backward_transpose
