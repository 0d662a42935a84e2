"""The scans, several steps a turn of the loop, for chips on which a turn has a price of its own.

Of a GPU, a step asks a product and one kernel for all that is done element by element; what a turn
launches beside them, to count, to compare and to store outputs, is shared by its steps. On a TPU a
turn waits for what it brings from the chip's main memory and takes back.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.kernels import fused_as_scans, scan
from jlstm.kernels.primitives import operands
from jlstm.kernels.primitives.operands import Backward, Forward, Linear
from jlstm.layer import Layer
from jlstm.params import Carry, LayerParams

STEPS_A_TURN = 8
PLATFORMS = ("cuda", "rocm", "tpu")  # on a CPU code of that length is slower

MEANINGS: dict[type, Callable[..., Any]] = {
    Forward: fused_as_scans.run,
    Linear: fused_as_scans.derivative,
    Backward: fused_as_scans.backward,
}


def run(
    layer: Layer,
    params: LayerParams,
    carry: Carry,
    xs: jax.Array,
    *,
    reverse: tuple[bool, ...],
    dtype: jnp.dtype,
    **others: Any,
) -> tuple[Carry, jax.Array]:
    """Any layer over a sequence; arguments and results as in scan.run."""

    def by(steps_a_turn: int) -> Callable[..., tuple[Carry, jax.Array]]:
        def one(params: Any, carry: Any, xs: Any, others: Any) -> tuple[Carry, jax.Array]:
            fixed = {"reverse": reverse, "dtype": dtype, "unroll": steps_a_turn}
            return scan.run(layer, params, carry, xs, **fixed, **others)

        return one

    several = by(_steps_a_turn(xs.shape[0]))
    there = dict.fromkeys(PLATFORMS, several)
    return lax.platform_dependent(params, carry, xs, others, default=by(1), **there)


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
