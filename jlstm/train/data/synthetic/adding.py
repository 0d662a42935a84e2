"""The adding problem: the sum of two marked numbers of a long sequence."""

import numpy as np

from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.data.synthetic import drawing

_MEANING = Meaning(inputs=("number", "mark"), targets=("sum",))


def adding(
    *, steps: int = 600, train: int = 50000, valid: int = 0, test: int = 1000, seed: int = 0
) -> Data:
    """The adding problem of Bai, Kolter and Koltun 2018 (arXiv 1803.01271), for the task regress.

    The first feature of each step is uniform in [0, 1). The second is 1 at two different steps of
    the whole sequence and 0 elsewhere. The target is the sum of the two marked numbers. A model
    that always predicts 1 has a mean squared error of 1/6 = 0.1667; the paper's LSTM has 0.164 at
    600 steps.

    xs is float32 [N, steps, 2], targets float32 [N, 1]. `adding_1997` is the older problem.

    Args:
      steps: the length of every sequence, at least 2.
      train, valid, test: numbers of sequences.
      seed: of the random numbers.

    Raises:
      TypeError, ValueError: a number is too small or not whole.

    >>> xs, targets, _ = adding(steps=20, train=3, test=0).train
    >>> xs.shape, bool(np.allclose((xs[..., 0] * xs[..., 1]).sum(1), targets[:, 0]))
    ((3, 20, 2), True)
    """
    steps = drawing.whole("steps", steps, low=2)

    def draw(rng: np.random.Generator, n: int) -> Split:
        first = rng.integers(steps, size=n)
        second = rng.integers(steps - 1, size=n)
        second += second >= first  # all other steps are equally likely
        xs = np.zeros((n, steps, 2), np.float32)
        xs[..., 0] = rng.random((n, steps), np.float32)
        each = np.arange(n)
        xs[each, first, 1] = xs[each, second, 1] = 1
        return Split(xs, (xs[each, first, 0] + xs[each, second, 0])[:, None])

    return drawing.data(draw, train=train, valid=valid, test=test, seed=seed, meaning=_MEANING)


def adding_1997(
    *, steps: int = 100, train: int = 50000, valid: int = 0, test: int = 2560, seed: int = 0
) -> Data:
    """The adding problem of Hochreiter and Schmidhuber 1997, experiment 4, for the task regress.

    It differs from `adding`: numbers are uniform in [-1, 1); lengths are uniform from T to
    T + T/10; the first mark is at one of the first 10 steps, the second at another of the first
    T/2 steps. The first and the last step are marked by -1. If 1 would mark the first step, -1
    stands there, and its number counts as 0. The target is 0.5 + (sum of the two numbers) / 4.
    A sequence counts as correct if the absolute error is below 0.04.

    xs is float32 [N, T + T/10, 2], targets float32 [N, 1], lengths int32 [N].

    Args:
      steps: T, at least 20. The paper has 100, 500 and 1000.
      train, valid, test: numbers of sequences.
      seed: of the random numbers.

    Raises:
      TypeError, ValueError: a number is too small or not whole.

    >>> xs, targets, lengths = adding_1997(steps=20, train=1, test=0).train
    >>> xs.shape, xs[0, 0, 1], xs[0, lengths[0] - 1, 1], int((xs[0, :, 1] == 1).sum())
    ((1, 22, 2), np.float32(-1.0), np.float32(-1.0), 2)
    """
    steps = drawing.whole("steps", steps, low=20)
    longest = steps + steps // 10

    def draw(rng: np.random.Generator, n: int) -> Split:
        lengths = rng.integers(steps, longest, size=n, dtype=np.int32, endpoint=True)
        first = rng.integers(10, size=n)
        second = rng.integers(steps // 2 - 1, size=n)
        second += second >= first
        inside = np.arange(longest) < lengths[:, None]
        xs = np.zeros((n, longest, 2), np.float32)
        xs[..., 0] = np.where(inside, 2 * rng.random((n, longest), np.float32) - 1, 0)
        each = np.arange(n)
        xs[each, first, 1] = xs[each, second, 1] = 1
        xs[:, 0, 1] = xs[each, lengths - 1, 1] = -1
        total = (xs[..., 0] * (xs[..., 1] == 1)).sum(axis=1, keepdims=True)
        return Split(xs, 0.5 + total / 4, lengths)

    return drawing.data(draw, train=train, valid=valid, test=test, seed=seed, meaning=_MEANING)
