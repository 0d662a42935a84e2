"""The forward pass as a Pallas kernel for TPU."""

from types import SimpleNamespace
from typing import Any

import jax
from jax.experimental import pallas as pl

from jlstm import cell
from jlstm.kernels.plain import PLAIN
from jlstm.kernels.tpu import grid
from jlstm.params import Carry, LayerParams

_NO_WEIGHTS = LayerParams(None, None)  # type: ignore[arg-type]


def run(
    walk: grid.Walk,
    w_h: jax.Array,
    z: jax.Array,
    carry: Carry,
    initial: Carry | None,
    flags: jax.Array | None,
    keep: bool,
    interpret: Any,
) -> list[jax.Array]:
    """The recurrence of groups that all have the same direction.

    Args:
      walk: the order of time.
      w_h: [G, H, 4H], in the dtype of the operands of products.
      z: input products [G, T, B, 4H].
      carry, initial: Carry [G, B, H].
      flags: [G or 1, T, B, 1], the sum of the bits VALID and RESET; None without either.
      keep: whether to return the residuals too.
      interpret: how Pallas runs the kernel on a machine without a TPU.

    Returns:
      The last c and h [G, B, H] and h of all steps [G, T, B, H]. With `keep` also the gates
      [G, T, B, 4H], and c and h before each step.
    """
    units = w_h.shape[1]

    def body(at: SimpleNamespace) -> None:
        @pl.when(pl.program_id(2) == 0)
        def _() -> None:
            at.c[...], at.h[...] = at.c_start[...], at.h_start[...]

        start = Carry(at.c_initial[...], at.h_initial[...]) if walk.resets else None

        first = walk.first()

        def restarted(reset: Any, state: Carry) -> Carry:
            return state if start is None else grid.where_carry(reset, start, state)

        def step(n: Any, state: Carry) -> Carry:
            taken, reset = grid.flags_at(walk, at, first, n, state.c.shape)
            if not walk.backwards:
                state = restarted(reset, state)
            before = state
            z = at.z[n] + grid.product(before.h, at.w_h[...])
            gates, c, h = cell.advance(PLAIN, _NO_WEIGHTS, z, before, cell.NO_MASKS)
            state = grid.where_carry(taken, Carry(c, h), before)
            at.hs[n] = grid.where(taken, h, 0.0)
            if keep:
                for k, gate in enumerate(gates):
                    at.gates[n, :, k * units : (k + 1) * units] = grid.where(taken, gate, 0.0)
                at.c_before[n] = grid.where(taken, before.c, 0.0)
                at.h_before[n] = grid.where(taken, before.h, 0.0)
            if walk.backwards:
                state = restarted(reset, state)
            return state

        state = walk.over_block(step, Carry(at.c[...], at.h[...]))
        at.c[...], at.h[...] = state

        @pl.when(pl.program_id(2) == walk.blocks - 1)
        def _() -> None:
            at.c_last[...], at.h_last[...] = state

    states = {"c_start": carry.c, "h_start": carry.h}
    if walk.resets and initial is not None:
        states |= {"c_initial": initial.c, "h_initial": initial.h}
    made = {"c_last": 0, "h_last": 0, "hs": 1}
    if keep:
        made |= {"gates": 4, "c_before": 1, "h_before": 1}
    return grid.call(walk, body, w_h, {"z": z}, states, flags, made, ("c", "h"), interpret)
