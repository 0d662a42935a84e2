"""The arguments and results that all implementations of the recurrence share."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jlstm.cell import Masks
from jlstm.layer import Layer
from jlstm.params import Carry, LayerParams


class Inputs(NamedTuple):
    """One layer's arrays for a sequence of T steps, in D directions; None for absent ones.

    Attributes:
      params: parameters with the leading axis D, without a highway.
      carry: Carry [D, *batch, ..] in the state's dtype.
      xs: inputs [T, *batch, I].
      initial: the carry after a reset, broadcastable to `carry`.
      valid: booleans [T, *batch]. Where False, the carry is held and the output is zero.
      resets: booleans [T, *batch]. Where True, the initial carry replaces the carry: before the
        step, or after it if time runs backward.
      masks: random masks of each step, [D, T, *batch, ..].
      held: random masks of all steps, [D, *batch, ..]. Each mask is in either `masks` or `held`.
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
          dtype: dtype of the operands of products.

        Returns:
          The last carry, and the hidden states [D, T, *batch, P], zero where not valid. Instead of
          the hidden states, `scan.record` returns every gate and state.
        """
        ...
