"""The backward pass as a Pallas kernel for TPU: the transpose of the derivative of a run."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from jlstm import cell
from jlstm.kernels.tpu import grid
from jlstm.params import Carry


def backward(
    walk: grid.Walk,
    w_h: jax.Array,
    gates: jax.Array,
    c_before: jax.Array,
    d_hs: jax.Array,
    d_last: Carry,
    flags: jax.Array | None,
    interpret: Any,
) -> list[jax.Array]:
    """Gradients of a run, computed in the opposite order of time.

    Args:
      walk: the order of time, opposite to that of the run.
      w_h: transposed, [G, 4H, H], in the dtype of the operands of products.
      gates, c_before: residuals of the run.
      d_hs: cotangents of the outputs [G, T, B, H].
      d_last: cotangents of the last carry [G, B, H].
      flags: as for the run.
      interpret: as for the run.

    Returns:
      LayerBackward of z [G, T, B, 4H], of the carry and, with resets, of the initial carry.
    """
    units = w_h.shape[2]

    def body(at: SimpleNamespace) -> None:
        @pl.when(pl.program_id(2) == 0)
        def _() -> None:
            at.d_c[...], at.d_h[...] = at.d_c_last[...], at.d_h_last[...]
            if walk.resets:
                at.d_ci[...] = jnp.zeros_like(at.d_ci)
                at.d_hi[...] = jnp.zeros_like(at.d_hi)

        first = walk.first()

        def step(n: Any, state: tuple[Carry, Carry | None]) -> tuple[Carry, Carry | None]:
            d, d_initial = state
            taken, reset = grid.flags_at(walk, at, first, n, d.c.shape)
            if not walk.backwards:  # then the run went backward, where resets follow the step
                d, d_initial = _cut(reset, d, d_initial)
            own = cell.Gates(*(at.gates[n, :, k * units : (k + 1) * units] for k in range(4)))
            _, pull = jax.vjp(cell.update, own, at.c_before[n])
            d_gates, d_c = pull(Carry(d.c, d.h + at.d_hs[n]))
            parts = [a * b for a, b in zip(cell.slopes(own), d_gates, strict=True)]
            parts = [grid.where(taken, a, 0.0) for a in parts]
            for k, part in enumerate(parts):
                at.d_z[n, :, k * units : (k + 1) * units] = part
            d_h = grid.product(jnp.concatenate(parts, axis=-1), at.w_h[...])
            d = grid.where_carry(taken, Carry(d_c, d_h), d)
            if walk.backwards:
                d, d_initial = _cut(reset, d, d_initial)
            return d, d_initial

        d_initial = Carry(at.d_ci[...], at.d_hi[...]) if walk.resets else None
        d, d_initial = walk.over_block(step, (Carry(at.d_c[...], at.d_h[...]), d_initial))
        at.d_c[...], at.d_h[...] = d
        if d_initial is not None:
            at.d_ci[...], at.d_hi[...] = d_initial

        @pl.when(pl.program_id(2) == walk.blocks - 1)
        def _() -> None:
            at.d_c_start[...], at.d_h_start[...] = d
            if d_initial is not None:
                at.d_c_initial[...], at.d_h_initial[...] = d_initial

    over_time = {"gates": gates, "c_before": c_before, "d_hs": d_hs}
    states = {"d_c_last": d_last.c, "d_h_last": d_last.h}
    made = {"d_z": 4, "d_c_start": 0, "d_h_start": 0}
    scratch: tuple[str, ...] = ("d_c", "d_h")
    if walk.resets:
        made |= {"d_c_initial": 0, "d_h_initial": 0}
        scratch += ("d_ci", "d_hi")
    return grid.call(walk, body, w_h, over_time, states, flags, made, scratch, interpret)


def _cut(reset: jax.Array | None, d: Carry, d_initial: Carry | None) -> tuple[Carry, Carry | None]:
    """At a reset, moves the cotangents of the carry to those of the initial carry."""
    if reset is None or d_initial is None:
        return d, d_initial
    gone = Carry(*(jnp.where(reset, a, 0.0) for a in d))
    left = Carry(*(jnp.where(reset, 0.0, a) for a in d))
    return left, Carry(*(a + b for a, b in zip(d_initial, gone, strict=True)))
