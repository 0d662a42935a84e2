"""Operands and results of the recurrence of one layer, for all its directions at once.

A group is an independent recurrence: a direction of a layer, a member of an ensemble, or both. All
arrays of states and outputs have the groups G as their leading axis.

Floating-point arrays have one of two dtypes. A tangent or cotangent has the dtype of its array.

- The dtype of products, which is that of w_h: w_x, w_h, xs, hs, h_before, and d_z, a tangent or
  cotangent of the input products.
- The dtype of the state, which `state_dtype` computes from it: b, gates, c_before, and c and h of
  every carry.

The two differ only if the dtype of products is bfloat16. The state is then float32, and h is
rounded to bfloat16 where a product reads it: as hs and as h_before.
"""

from typing import Any, NamedTuple

import jax

from jlstm.params import Carry


class Forward(NamedTuple):
    """Operands of the recurrence over a whole sequence.

    Attributes:
      w_x, w_h, b: [G, I, 4H], [G, H, 4H], [G, 4H]; b is None without a bias.
      carry: Carry [G, *batch, H].
      initial: the carry after a reset, [G, *batch, H]; None without resets.
      xs: [G, T, *batch, I], or [1, T, *batch, I] if all groups read the same inputs.
      valid: booleans [G, T, *batch] or [1, T, *batch]; where False, the carry is held. None if all
        steps are valid.
      resets: booleans of the same shapes; where True, `initial` replaces the carry. Or None.
    """

    w_x: jax.Array
    w_h: jax.Array
    b: jax.Array | None
    carry: Carry
    initial: Carry | None
    xs: jax.Array
    valid: jax.Array | None
    resets: jax.Array | None


class Residuals(NamedTuple):
    """The residuals of a run, which its derivatives need.

    Attributes:
      gates: activations [G, T, *batch, 4H] in the order i, f, g, o; zero where not valid.
      c_before, h_before: the state that each step reads [G, T, *batch, H]; zero where not valid.
    """

    gates: jax.Array
    c_before: jax.Array
    h_before: jax.Array


class RunResults(NamedTuple):
    """The results of a run or of its derivative.

    Attributes:
      carry: the last carry [G, *batch, H].
      hs: hidden states [G, T, *batch, H], zero where not valid.
      residuals: what derivatives need, or None.
    """

    carry: Carry
    hs: jax.Array
    residuals: Residuals | None = None


class Derivative(NamedTuple):
    """Operands of the derivative of a run at a point; linear in `d_z`, `d_carry` and `d_initial`.

    Attributes:
      w_h, gates, c_before: as in Forward and Residuals, at the point of the derivative.
      valid, resets: as in Forward.
      d_z: tangents of the input products [G, T, *batch, 4H].
      d_carry, d_initial: tangents of carry and initial.
    """

    w_h: jax.Array
    gates: jax.Array
    c_before: jax.Array
    valid: jax.Array | None
    resets: jax.Array | None
    d_z: jax.Array
    d_carry: Carry
    d_initial: Carry | None


class Backward(NamedTuple):
    """Operands of the transpose of the derivative: cotangents of its results.

    Attributes:
      w_h, gates, c_before, valid, resets: as in Derivative.
      d_last: cotangents of the last carry [G, *batch, H].
      d_hs: cotangents of the outputs [G, T, *batch, H].
    """

    w_h: jax.Array
    gates: jax.Array
    c_before: jax.Array
    valid: jax.Array | None
    resets: jax.Array | None
    d_last: Carry
    d_hs: jax.Array


class Gradients(NamedTuple):
    """Results for `Backward`: cotangents of d_z, d_carry and d_initial of `Derivative`."""

    d_z: jax.Array
    d_carry: Carry
    d_initial: Carry | None


class Products(NamedTuple):
    """Operands of the tangent of the input products; linear in the last four.

    Attributes:
      w_x, w_h, xs, h_before: as in Forward and Residuals, at the point of the derivative.
      d_w_x, d_w_h, d_b, d_xs: tangents of w_x, w_h, b and xs; None for those that are zero.
    """

    w_x: jax.Array
    w_h: jax.Array
    xs: jax.Array
    h_before: jax.Array
    d_w_x: jax.Array | None
    d_w_h: jax.Array | None
    d_b: jax.Array | None
    d_xs: jax.Array | None


class ProductsBackward(NamedTuple):
    """Operands of the transpose of `Products`.

    Attributes:
      w_x, w_h, xs, h_before: as in Products.
      d_z: cotangents of the products [G, T, *batch, 4H].
    """

    w_x: jax.Array
    w_h: jax.Array
    xs: jax.Array
    h_before: jax.Array
    d_z: jax.Array


class LayerForward(NamedTuple):
    """Operands of the recurrence of a whole layer, one or two directions, or gradients for them.

    Attributes:
      w_x, w_h, b, carry, xs: as in Forward; xs are the same for both directions.
      lengths: whole numbers [*batch]; None if all sequences have T steps.
    """

    w_x: jax.Array
    w_h: jax.Array
    b: jax.Array | None
    carry: Carry
    xs: jax.Array
    lengths: jax.Array | None


class LayerResults(NamedTuple):
    """The results of the recurrence of a whole layer.

    Attributes:
      carry, hs: as in RunResults.
      reserve: cuDNN's reserve space, which has the residuals in a form that only cuDNN can read.
      sequences: zeros [B]; their shape records that `reserve` is of B sequences.
    """

    carry: Carry
    hs: jax.Array
    reserve: jax.Array
    sequences: jax.Array


class LayerDerivative(NamedTuple):
    """Operands of the derivative of a whole layer; linear in `d_at`.

    Attributes:
      at, through: operands and results of the run.
      d_at: tangents of the operands, None for lengths.
    """

    at: LayerForward
    through: LayerResults
    d_at: LayerForward


class LayerBackward(NamedTuple):
    """Operands of the gradients of a whole layer.

    Attributes:
      at, through: operands and results of the run.
      d_carry, d_hs: cotangents of the last carry and the outputs.
    """

    at: LayerForward
    through: LayerResults
    d_carry: Carry
    d_hs: jax.Array


# First batch axis of each operand and result; None for those without a batch.
BATCH_AXIS: dict[str, int | None] = {
    "w_x": None, "w_h": None, "b": None,
    "carry": 1, "initial": 1, "d_carry": 1, "d_initial": 1, "d_last": 1,
    "xs": 2, "hs": 2, "valid": 2, "resets": 2, "gates": 2, "c_before": 2, "h_before": 2,
    "d_z": 2, "d_hs": 2, "lengths": 0,
}  # fmt: skip

# Operands that may have a single group, shared by all groups.
SHARED = ("xs", "valid", "resets")


def over_time(given: Forward | Derivative | Backward) -> jax.Array:
    """An operand [G, T, *batch, features]."""
    return next(getattr(given, n) for n in ("xs", "d_z", "d_hs") if hasattr(given, n))


def names(operands: Any) -> list[str]:
    """The name of the field that each leaf of a tuple above belongs to."""
    found = []
    for name, value in operands._asdict().items():
        found += (
            names(value) if isinstance(value, Residuals) else [name] * len(jax.tree.leaves(value))
        )
    return found


def result_names(given: Forward | Backward, keep: bool = False) -> list[str]:
    """The names of the results of an operation with these operands; `keep` as for a run."""
    if isinstance(given, Forward):
        return ["carry", "carry", "hs", *(Residuals._fields if keep else ())]
    return ["d_z", "d_carry", "d_carry", *(["d_initial"] * 2 if given.resets is not None else ())]
