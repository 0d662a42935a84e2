"""What every implementation of the recurrence is given, and what it returns."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jlstm.cell import Masks
from jlstm.layer import Layer
from jlstm.params import Carry, LayerParams


class Inputs(NamedTuple):
    """One layer's arrays for a sequence of T steps, in D directions; None for what a call lacks.

    Attributes:
      params: parameters of the directions, their leading axis; without a highway.
      carry: Carry [D, *batch, ..] in the state's dtype.
      xs: inputs [T, *batch, I].
      initial: what a reset puts into the carry, broadcastable to it.
      valid: booleans [T, *batch]; elsewhere the carry is held and the output is zero.
      resets: booleans [T, *batch]; there the initial carry replaces the carry before the step, or
        after it where time runs backwards.
      masks: what is drawn for each step, [D, T, *batch, ..].
      held: what is drawn for all steps, [D, *batch, ..]; each mask is in one of the two.
    """

    params: LayerParams
    carry: Carry
    xs: jax.Array
    initial: Carry
    valid: jax.Array | None
    resets: jax.Array | None
    masks: Masks
    held: Masks


class Recurrence(Protocol):
    """All directions of one layer over a whole sequence. `scan.run` is the reference."""

    def __call__(
        self, layer: Layer, inputs: Inputs, *, reverse: tuple[bool, ...], dtype: jnp.dtype
    ) -> tuple[Carry, Any]:
        """Runs the layer.

        Args:
          layer: its options.
          inputs: its arrays.
          reverse: for each direction, whether it starts at the last step.
          dtype: what products are taken in.

        Returns:
          The last carry, and the hidden states [D, T, *batch, P], zero where not valid. In place
          of the hidden states, `scan.record` returns every gate and state.
        """
        ...
