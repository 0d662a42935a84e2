"""Sums of sines with noise, to forecast."""

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.data.synthetic import drawing


def noisy_sines(
    *,
    steps: int = 100,
    horizon: int = 10,
    waves: int = 2,
    shortest: float = 10.0,
    longest: float = 50.0,
    noise: float = 0.1,
    train: int = 5000,
    valid: int = 500,
    test: int = 500,
    seed: int = 0,
) -> Data:
    """Sums of sines with noise, for the task forecast: what are the next values?

    Each sequence is the sum of `waves` sines and of Gaussian noise. A sine has amplitude 1, and a
    uniformly random phase and period. The targets are the values of the next `horizon` steps, which
    have noise too. The mean squared error of a perfect forecast is therefore noise ** 2 on average.
    That of always forecasting 0 is waves / 2 + noise ** 2.

    xs is float32 [N, steps, 1], targets float32 [N, horizon, 1].

    Args:
      steps: the number of input values.
      horizon: the number of values to forecast.
      waves: the number of sines in a sum.
      shortest, longest: the range of periods, in steps.
      noise: the standard deviation of the noise.
      train, valid, test: numbers of sequences.
      seed: of the random numbers.

    Raises:
      TypeError, ValueError: a number is too small or not whole, or longest is below shortest.

    >>> data = noisy_sines(steps=20, horizon=5, train=3)
    >>> data.train.xs.shape, data.train.targets.shape
    ((3, 20, 1), (3, 5, 1))
    """
    steps = drawing.whole("steps", steps, low=1)
    horizon = drawing.whole("horizon", horizon, low=1)
    waves = drawing.whole("waves", waves, low=1)
    noise = validation.number("noise", noise, low=0)
    shortest = validation.number("shortest", shortest, above=0)
    longest = validation.number("longest", longest, above=0)
    if longest < shortest:
        raise ValueError(f"longest is {longest}; expected at least shortest, which is {shortest}")

    def draw(rng: np.random.Generator, n: int) -> Split:
        periods = rng.uniform(shortest, longest, (waves, n, 1))
        phases = rng.random((waves, n, 1))
        values = rng.standard_normal((n, steps + horizon), np.float32)
        values *= np.float32(noise)
        for period, phase in zip(periods, phases, strict=True):
            turns = np.arange(steps + horizon) / period
            turns += phase
            turns -= np.floor(turns)  # float32 is exact enough within one turn, and much faster
            values += np.sin((2 * np.pi * turns).astype(np.float32))
        return Split(values[:, :steps, None], values[:, steps:, None])

    meaning = Meaning(inputs=("value",), targets=("value",))
    return drawing.data(draw, train=train, valid=valid, test=test, seed=seed, meaning=meaning)
