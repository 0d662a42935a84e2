"""Draws the parts of a data set, each with a separate random generator."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Data, Meaning, Split


def whole(what: str, value: int, *, low: int = 0) -> int:
    """`value` as a whole number of at least `low`, small enough for the size of an axis.

    Raises:
      TypeError, ValueError: it is not such a number.

    >>> whole("steps", 1, low=2)
    Traceback (most recent call last):
    ValueError: steps is 1; expected a whole number of at least 2
    """
    value = validation.integer(what, value)
    if value < low:
        said = validation.shown(value)
        raise ValueError(f"{what} is {said}; expected a whole number of at least {low}")
    return validation.size(what, value) if value else value


class Generators(NamedTuple):
    """Random numbers for one part of a data set. Parts of one seed have different numbers."""

    train: np.random.Generator
    valid: np.random.Generator
    test: np.random.Generator


def generators(seed: int) -> Generators:
    """The generators of a seed.

    Raises:
      TypeError, ValueError: seed is not a whole number of at least 0.

    >>> same = generators(3).test.integers(9, size=4) == generators(3).test.integers(9, size=4)
    >>> bool(same.all())
    True
    """
    seed = whole("seed", seed)
    return Generators(*(np.random.default_rng((seed, part)) for part in range(3)))


def data(
    draw: Callable[[np.random.Generator, int], Split],
    *,
    train: int,
    valid: int,
    test: int,
    seed: int,
    meaning: Meaning,
) -> Data:
    """The data set whose parts have `train`, `valid` and `test` sequences.

    The sequences of a part stay the same if the sizes of the others change.

    Args:
      draw: a function of a generator and a number, which returns that many sequences.
      train, valid, test: numbers of sequences. With 0 for `valid` or `test`, the part is None.
      seed: of the random numbers.
      meaning: what the numbers stand for.

    Raises:
      TypeError, ValueError: train is below 1, another number is below 0, or one is not whole.

    >>> def draw(rng, n):
    ...     return Split(rng.random((n, 4, 1), np.float32), np.zeros((n, 1), np.float32))
    >>> small = data(draw, train=5, valid=0, test=2, seed=0, meaning=Meaning())
    >>> small.train.xs.shape, small.valid, small.test.xs.shape
    ((5, 4, 1), None, (2, 4, 1))
    """
    train = whole("train", train, low=1)
    valid, test = whole("valid", valid), whole("test", test)
    rngs = generators(seed)
    return Data(
        draw(rngs.train, train),
        draw(rngs.valid, valid) if valid else None,
        draw(rngs.test, test) if test else None,
        meaning,
    )
