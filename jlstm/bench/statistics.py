"""Medians with bootstrap intervals."""

from typing import NamedTuple

import numpy as np

RESAMPLES = 1000


class Estimate(NamedTuple):
    """A median with its 95 % percentile bootstrap interval."""

    median: float
    low: float
    high: float


def estimate(values: list[float] | np.ndarray) -> Estimate:
    """The median of at least one value, with its interval."""
    array = np.asarray(values, "float64")
    draws = np.random.default_rng(0).integers(len(array), size=(RESAMPLES, len(array)))
    low, high = np.percentile(np.median(array[draws], 1), [2.5, 97.5])
    return Estimate(float(np.median(array)), float(low), float(high))


def ratio(a: list[float], b: list[float]) -> Estimate:
    """The seconds of a divided by those of b, paired by round. Both come from the same rounds."""
    rounds = min(len(a), len(b))
    return estimate(np.asarray(a[:rounds]) / np.asarray(b[:rounds]))


def change(new: list[float], old: list[float]) -> Estimate:
    """The median of new divided by that of old. Rounds of different runs are not paired."""
    draw = np.random.default_rng(0)

    def medians(values: list[float]) -> np.ndarray:
        array = np.asarray(values, "float64")
        return np.median(array[draw.integers(len(array), size=(RESAMPLES, len(array)))], 1)

    low, high = np.percentile(medians(new) / medians(old), [2.5, 97.5])
    return Estimate(float(np.median(new) / np.median(old)), float(low), float(high))
