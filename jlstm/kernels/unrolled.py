"""The scans with an unrolled loop, for platforms on which every loop iteration has a cost.

On a GPU, a step launches a product and one elementwise kernel. Each loop iteration launches more
kernels, to count, to compare and to store outputs; unrolled steps share these. On a TPU, each
iteration waits for transfers from and to the chip's main memory.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.kernels import fused_as_scans, scan
from jlstm.kernels.primitives import operands
from jlstm.kernels.primitives.operands import Backward, Derivative, Forward
from jlstm.kernels.recurrence import Inputs
from jlstm.layer import Layer
from jlstm.params import Carry

UNROLL = 8
PLATFORMS = ("cuda", "rocm", "tpu")  # unrolled code is slower on a CPU

MEANINGS: dict[type, Callable[..., Any]] = {
    Forward: fused_as_scans.run,
    Derivative: fused_as_scans.derivative,
    Backward: fused_as_scans.backward,
}


def run(
    layer: Layer, inputs: Inputs, *, reverse: tuple[bool, ...], dtype: jnp.dtype
) -> tuple[Carry, jax.Array]:
    """Runs any layer over a sequence; a `recurrence.Recurrence`."""

    def by(unroll: int) -> Callable[[Inputs], tuple[Carry, jax.Array]]:
        return functools.partial(scan.run, layer, reverse=reverse, dtype=dtype, unroll=unroll)

    several = by(_unroll(inputs.xs.shape[0]))
    there = dict.fromkeys(PLATFORMS, several)
    return lax.platform_dependent(inputs, default=by(1), **there)


def lowering(ctx: Any, given: Any, reverse: Any, **options: bool) -> Callable[..., Any]:
    """A function of a fused operation's operands, with an unrolled loop.

    Args:
      ctx: the context of the lowering.
      given: the types of the operands: Forward, Derivative or Backward.
      reverse: for each group, whether it runs backward in time.
      options: `keep` of a run.
    """
    unroll = _unroll(operands.over_time(given).shape[1])
    return functools.partial(MEANINGS[type(given)], reverse=reverse, unroll=unroll, **options)


def _unroll(time_steps: Any) -> int:
    return UNROLL if isinstance(time_steps, int) else 1  # a symbolic size cannot be divided
