"""A case in numbers that belong to no framework: weights, input, lengths, resets.

Every contender makes them for itself, from the same seed.
"""

from typing import Any, NamedTuple

import numpy as np

from jlstm.bench.cases import Case

# What a contender computed: arrays by what they are called in messages.
Seen = dict[str, np.ndarray]
# Steps that are compared where a contender runs one step a call.
COMPARED_STEPS = 16


class LayerWeights(NamedTuple):
    """One layer: D directions, gates in the order i, f, g, o along the last axis.

    Attributes:
      w_x: [D, I, 4H], of NumPy or, where a contender differentiates, of JAX; so are the others.
      w_h: [D, H, 4H].
      b: [D, 4H].
    """

    w_x: Any
    w_h: Any
    b: Any


class Problem(NamedTuple):
    """A case with its numbers, float32.

    Attributes:
      case: where they come from.
      layers: weights, lowest layer first.
      xs: input [T, B, I].
      lengths: int32 [B], or None where all sequences have T steps.
      resets: bool [T, B], or None.
      threads: how many threads the contender may use.
    """

    case: Case
    layers: tuple[LayerWeights, ...]
    xs: np.ndarray
    lengths: np.ndarray | None
    resets: np.ndarray | None
    threads: int


def make(case: Case, threads: int) -> Problem:
    """The numbers of a case: weights uniform within 1/sqrt(H) as torch draws them, normal input.

    No number is so small that a processor would handle it slowly.
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
    """Gradients for the weights, under the names that messages use."""
    return {
        f"gradients for {name} of layer {n}": np.asarray(array)
        for n, layer in enumerate(layers)
        for name, array in zip(layer._fields, layer, strict=True)
    }
