"""Three data sets for classification, which are files of the package aeon.

The files are read from the installed package. aeon itself is not imported: that would take seconds.
"""

import importlib.util
import os
import pathlib

import numpy as np

from jlstm.train.data import ts_file
from jlstm.train.data.holdout import held_out
from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.data.tables import ragged


def japanese_vowels(*, valid: int = 0, seed: int = 0) -> Data:
    """Which of nine men speaks? 270 utterances of two vowels to train on, 370 to test on.

    A sequence has 7 to 29 steps of 12 linear prediction coefficients. The parts are those of Kudo,
    Toyama and Shimbo (Pattern Recognition Letters 20, 1999).

    Args:
      valid: how many of the training sequences are the validation part. Each class has the same
        share of it.
      seed: the seed that determines these sequences.

    Raises:
      ImportError: aeon is not installed.
      ValueError: valid leaves nothing to train on, or aeon's file is missing or damaged.
    """
    return _shipped("JapaneseVowels", valid, seed)


def basic_motions(*, valid: int = 0, seed: int = 0) -> Data:
    """Standing, running, walking or badminton? 40 recordings to train on, 40 to test on.

    A sequence has 100 steps of 6 channels, a smart watch's accelerometer and gyroscope. Options and
    errors are those of `japanese_vowels`.
    """
    return _shipped("BasicMotions", valid, seed)


def italy_power_demand(*, valid: int = 0, seed: int = 0) -> Data:
    """Winter or summer? The electrical power demand of 67 days to train on, 1,029 to test on.

    A sequence has 24 steps of 1 channel, a value for each hour. Each day is normalised by itself.
    One class is October to March, the other April to September. Options and errors are those of
    `japanese_vowels`.
    """
    return _shipped("ItalyPowerDemand", valid, seed)


def _shipped(name: str, valid: int, seed: int) -> Data:
    spec = importlib.util.find_spec("aeon")
    if spec is None or spec.origin is None:
        raise ImportError(
            f"the data set {name} is part of the package aeon, which is not installed: "
            "pip install aeon"
        )
    folder = pathlib.Path(spec.origin).parent / "datasets" / "data" / name
    train, classes = _padded(folder / f"{name}_TRAIN.ts")
    test, of_test = _padded(folder / f"{name}_TEST.ts")
    if classes != of_test or train.xs.shape[2] != test.xs.shape[2]:
        raise ValueError(
            f"{folder}: the training part has {train.xs.shape[2]} channels and the classes "
            f"{classes}, but the test part {test.xs.shape[2]} and {of_test}; expected the same. "
            "Install aeon anew: pip install --force-reinstall --no-deps aeon"
        )
    train, apart = held_out(train, valid, seed)
    return Data(train, apart, test, Meaning(classes=classes))


def _padded(path: os.PathLike[str]) -> tuple[Split, tuple[str, ...]]:
    """The sequences of a .ts file, padded to the longest, and the names of their classes."""
    series, labels, classes = ts_file.read(path)
    bounds = np.cumsum([0, *map(len, series)])
    xs, lengths = ragged.padded(np.concatenate(series), bounds, np.arange(len(series)))
    return Split(xs, labels, lengths), classes
