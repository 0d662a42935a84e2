"""The fused operations as scans: their definition, which runs on every platform."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jlstm import cell, masking
from jlstm.dtypes import state_dtype
from jlstm.kernels import scan
from jlstm.kernels.plain import PLAIN
from jlstm.kernels.primitives import device_types
from jlstm.kernels.primitives.operands import (
    Backward,
    Derivative,
    Forward,
    Gradients,
    Residuals,
    RunResults,
)
from jlstm.params import Carry, LayerParams


def run(given: Forward, reverse: tuple[bool, ...], keep: bool, unroll: int = 1) -> RunResults:
    """The recurrence of all groups.

    Args:
      given: its operands.
      reverse: for each group, whether it runs backward in time.
      keep: whether to return the residuals for derivatives too.
      unroll: number of steps in a loop iteration.
    """

    def one(given: Forward, reverse: bool) -> RunResults:
        dtype = given.w_h.dtype
        params = LayerParams(given.w_x, given.w_h, given.b)
        z = cell.from_input(PLAIN, params, given.xs, dtype)
        steps = scan.Steps(z, given.valid, given.resets)
        initial = given.carry if given.initial is None else given.initial
        stack = _outputs_and_residuals if keep else _outputs
        last, stacked = scan.loop(
            PLAIN,
            reverse,
            dtype,
            params,
            given.carry,
            initial,
            steps,
            cell.NO_MASKS,
            stack,
            unroll=unroll,
        )
        return with_h_in(dtype, RunResults(last, *stacked))

    return _each_group(one, given, reverse)


def derivative(given: Derivative, reverse: tuple[bool, ...], unroll: int = 1) -> RunResults:
    """The tangents of the last carry and outputs of a run."""

    def one(given: Derivative, reverse: bool) -> RunResults:
        dtype, given = given.w_h.dtype, _widened(given)

        def body(d: Carry, step: Derivative) -> tuple[Carry, jax.Array]:
            return _linear_step(given.w_h, step, reverse, d, step.d_z, given.d_initial)

        varying = given._replace(w_h=None, d_carry=None, d_initial=None)
        made = lax.scan(body, given.d_carry, varying, reverse=reverse, unroll=unroll)
        return with_h_in(dtype, RunResults(*made))

    return _each_group(one, given, reverse)


def backward(given: Backward, reverse: tuple[bool, ...], unroll: int = 1) -> Gradients:
    """The transpose of `derivative` with respect to its tangents."""

    # JAX transposes one step at a time here. Transposing the whole scan would add a separate loop
    # for the derivatives of the gates.
    def one(given: Backward, reverse: bool) -> Gradients:
        dtype, given = given.w_h.dtype, _widened(given)
        zero = Carry(*(device_types.zeros_like(a) for a in given.d_last))

        def body(d: tuple[Carry, Carry | None], step: Backward) -> tuple[Any, jax.Array]:
            d_after, total = d

            def forward(d: Carry, d_z: jax.Array, d_initial: Carry | None) -> Any:
                return _linear_step(given.w_h, step, reverse, d, d_z, d_initial)

            back = jax.linear_transpose(forward, zero, step.gates, total)
            d_before, d_z, d_initial = back((d_after, step.d_hs))
            return (d_before, jax.tree.map(jnp.add, total, d_initial)), d_z

        varying = given._replace(w_h=None, d_last=None)
        start = given.d_last, None if given.resets is None else zero
        last, d_z = lax.scan(body, start, varying, reverse=not reverse, unroll=unroll)
        return Gradients(d_z.astype(dtype), *last)

    return _each_group(one, given, reverse)


def _linear_step(
    w_h: jax.Array,
    step: Derivative | Backward,
    reverse: bool,
    d: Carry,
    d_z: jax.Array,
    d_initial: Carry | None,
) -> tuple[Carry, jax.Array]:
    """Tangents of the carry after a step, and of its output; linear in the last three arguments."""
    if not reverse:
        d = masking.select(step.resets, d_initial, d)
    gates = cell.Gates(*jnp.split(step.gates, 4, axis=-1))
    d_z = d_z + cell.product(d.h, w_h, w_h.dtype)
    d_gates = cell.Gates(
        *(a * b for a, b in zip(cell.slopes(gates), jnp.split(d_z, 4, -1), strict=True))
    )
    _, after = jax.jvp(cell.update, (gates, step.c_before), (d_gates, d.c))
    d_h = after.h
    if step.valid is not None:
        after = masking.select(step.valid, after, d)
        d_h = jnp.where(step.valid[..., None], d_h, 0.0)
    if reverse:
        after = masking.select(step.resets, d_initial, after)
    return after, d_h


def with_h_in(dtype: jnp.dtype, made: RunResults) -> RunResults:
    """`made` with `hs` and `h_before` in the dtype of products."""
    residuals = made.residuals
    if residuals is not None:
        residuals = residuals._replace(h_before=residuals.h_before.astype(dtype))
    return made._replace(hs=made.hs.astype(dtype), residuals=residuals)


def _widened(given: Any) -> Any:
    """Operands of a derivative, with all floating-point numbers in the dtype of the state."""
    wide = state_dtype(given.w_h.dtype)
    return jax.tree.map(
        lambda a: a.astype(wide) if jnp.issubdtype(a.dtype, jnp.floating) else a, given
    )


def _outputs(taken: scan.Taken) -> tuple[jax.Array]:
    return (masking.where(taken.valid, taken.after.h, 0.0),)


def _outputs_and_residuals(taken: scan.Taken) -> tuple[jax.Array, Residuals]:
    residuals = Residuals(jnp.concatenate(taken.gates, axis=-1), *taken.before)
    return *_outputs(taken), Residuals(*(masking.where(taken.valid, a, 0.0) for a in residuals))


def _each_group(one: Callable[..., Any], given: Any, reverse: tuple[bool, ...]) -> Any:
    """Stacked results of `one(operands of the group, reverse)` for each group.

    The operands of a group have no group axis.
    """
    if len(reverse) <= 2:
        made = []
        for n, backwards in enumerate(reverse):
            own = jax.tree.map(lambda a, n=n: a[n if a.shape[0] > 1 else 0], given)
            made.append(one(own, backwards))
        return jax.tree.map(lambda *a: jnp.stack(a), *made)
    parts, order = [], []
    for backwards in sorted(set(reverse)):
        members = [n for n, own in enumerate(reverse) if own == backwards]
        order += members
        leaves, tree = jax.tree.flatten(given)
        shared = [a.shape[0] == 1 for a in leaves]
        own = [a[0] if s else a[jnp.array(members)] for a, s in zip(leaves, shared, strict=True)]
        axes = jax.tree.unflatten(tree, [None if s else 0 for s in shared])
        mapped = jax.vmap(lambda given, b=backwards: one(given, b), in_axes=(axes,))
        parts.append(mapped(jax.tree.unflatten(tree, own)))
    places = jnp.array([order.index(n) for n in range(len(order))])
    return jax.tree.map(lambda *a: jnp.concatenate(a)[places], *parts)
