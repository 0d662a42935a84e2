"""The fused operations on GPUs: the scans of `reference`, several steps a turn of the loop."""

from collections.abc import Callable
from typing import Any

import jax

from jlstm.kernels import operands, reference
from jlstm.kernels.operands import Backward, Forward, Linear

# A step launches a product and one kernel for all that is done element by element. What a turn of
# the loop launches beside them, to count, to compare and to store outputs, is shared by its steps.
STEPS_A_TURN = 8

MEANINGS: dict[type, Callable[..., Any]] = {
    Forward: reference.run,
    Linear: reference.derivative,
    Backward: reference.backward,
}


def lowering(ctx: Any, given: Any, reverse: Any, **options: bool) -> Callable[..., Any]:
    """A function of an operation's operands that takes several steps a turn.

    Args:
      ctx: the lowering's context.
      given: the types of the operands, as Forward, Linear or Backward.
      reverse: the direction of each group.
      options: those of a run.
    """
    meaning, tree = MEANINGS[type(given)], jax.tree.structure(given)
    time = operands.over_time(given).shape[1]
    unroll = STEPS_A_TURN if isinstance(time, int) else 1  # an unknown number is not divided

    def call(*leaves: Any) -> Any:
        given = jax.tree.unflatten(tree, leaves)
        return jax.tree.leaves(meaning(given, reverse, unroll=unroll, **options))

    return call
