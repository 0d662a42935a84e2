"""The arrays of a case, independent of any framework: weights, input, lengths and resets.

Every contender's process generates them from the same seed.
"""

from typing import Any, NamedTuple

import numpy as np

from jlstm.bench.cases import Case

# The results of a contender: arrays by their names in messages.
Seen = dict[str, np.ndarray]
# The number of steps that are compared in mode "step".
COMPARED_STEPS = 16


class LayerWeights(NamedTuple):
    """One layer of D directions. The gate order along the last axis is i, f, g, o.

    All are NumPy arrays, or JAX arrays when a contender differentiates.

    Attributes:
      w_x: [D, I, 4H].
      w_h: [D, H, 4H].
      b: [D, 4H].
    """

    w_x: Any
    w_h: Any
    b: Any


class Problem(NamedTuple):
    """A case with its arrays, in float32.

    Attributes:
      case: the case.
      layers: weights, lowest layer first.
      xs: input [T, B, I].
      lengths: int32 [B], or None if all sequences have T steps.
      resets: bool [T, B], or None.
      threads: number of threads the contender may use.
    """

    case: Case
    layers: tuple[LayerWeights, ...]
    xs: np.ndarray
    lengths: np.ndarray | None
    resets: np.ndarray | None
    threads: int


def make(case: Case, threads: int) -> Problem:
    """The arrays of a case. Weights are uniform within 1/sqrt(H), as in torch; the input is normal.

    Tiny numbers become 0, because processors handle subnormal numbers slowly.
    """
    draw = np.random.default_rng(0)
    layers = []
    for layer, size in zip(case.config.layers, case.config.input_sizes, strict=True):
        directions, h = 2 if layer.bidirectional else 1, layer.hidden_size
        shapes = ((directions, size, 4 * h), (directions, h, 4 * h), (directions, 4 * h))
        scale = np.float32(h**-0.5)
        layers.append(
            LayerWeights(
                *(_normal_range(draw.uniform(-scale, scale, s).astype("float32")) for s in shapes)
            )
        )
    steps, batch = case.shape.time_steps, case.shape.batch_size
    xs = draw.standard_normal((steps, batch, case.config.input_size), "float32")
    lengths = resets = None
    if case.shape.shortest < 1:
        spread = np.linspace(case.shape.shortest * steps, steps, batch)
        lengths = draw.permutation(np.maximum(1, np.round(spread)).astype("int32"))
    if case.shape.resets > 0:
        resets = draw.uniform(size=(steps, batch)) < case.shape.resets
    return Problem(case, tuple(layers), _normal_range(xs), lengths, resets, threads)


def _normal_range(a: np.ndarray) -> np.ndarray:
    return np.where(np.abs(a) < 1e-20, np.float32(0), a)


def named(layers: tuple[LayerWeights, ...]) -> Seen:
    """The gradients of the weights, by their names in messages."""
    return {
        f"gradients for {name} of layer {n}": np.asarray(array)
        for n, layer in enumerate(layers)
        for name, array in zip(layer._fields, layer, strict=True)
    }
