"""The scans, several steps a turn of the loop, for chips on which a turn has a price of its own.

Of a GPU, a step asks a product and one kernel for all that is done element by element; what a turn
launches beside them, to count, to compare and to store outputs, is shared by its steps. On a TPU a
turn waits for what it brings from the chip's main memory and takes back.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.kernels import fused_as_scans, scan
from jlstm.kernels.primitives import operands
from jlstm.kernels.primitives.operands import Backward, Forward, Linear
from jlstm.kernels.recurrence import Inputs
from jlstm.layer import Layer
from jlstm.params import Carry

STEPS_A_TURN = 8
PLATFORMS = ("cuda", "rocm", "tpu")  # on a CPU code of that length is slower

MEANINGS: dict[type, Callable[..., Any]] = {
    Forward: fused_as_scans.run,
    Linear: fused_as_scans.derivative,
    Backward: fused_as_scans.backward,
}


def run(
    layer: Layer, inputs: Inputs, *, reverse: tuple[bool, ...], dtype: jnp.dtype
) -> tuple[Carry, jax.Array]:
    """Any layer over a sequence, as `recurrence.Recurrence` says."""

    def by(unroll: int) -> Callable[[Inputs], tuple[Carry, jax.Array]]:
        return functools.partial(scan.run, layer, reverse=reverse, dtype=dtype, unroll=unroll)

    several = by(_steps_a_turn(inputs.xs.shape[0]))
    there = dict.fromkeys(PLATFORMS, several)
    return lax.platform_dependent(inputs, default=by(1), **there)


def lowering(ctx: Any, given: Any, reverse: Any, **options: bool) -> Callable[..., Any]:
    """A function of a fused operation's operands that takes several steps a turn.

    Args:
      ctx: the lowering's context.
      given: the types of the operands, as Forward, Linear or Backward.
      reverse: the direction of each group.
      options: those of a run.
    """
    meaning, tree = MEANINGS[type(given)], jax.tree.structure(given)
    unroll = _steps_a_turn(operands.over_time(given).shape[1])

    def call(*leaves: Any) -> Any:
        given = jax.tree.unflatten(tree, leaves)
        return jax.tree.leaves(meaning(given, reverse, unroll=unroll, **options))

    return call


def _steps_a_turn(time_steps: Any) -> int:
    return STEPS_A_TURN if isinstance(time_steps, int) else 1  # an unknown number is not divided
