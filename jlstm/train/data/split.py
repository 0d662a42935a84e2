"""What a data set is: sequences, their targets, and what the numbers stand for."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np


class Split(NamedTuple):
    """Sequences for one purpose, such as training, in NumPy arrays.

    N is the number of sequences and T that of the steps of the longest.

    Attributes:
      xs: float32 [N, T, features], or int32 [N, T] of tokens. Shorter sequences are padded with 0.
      targets: what to predict, by task:
        classify: int32 [N], the class of each sequence;
        label: int32 [N, T], the class of each step, -1 where a step does not count;
        regress: float32 [N, values];
        forecast: float32 [N, horizon, values];
        ctc: int32 [N, L], the classes in their order, padded with -1.
      lengths: int32 [N], the steps of each sequence. None: all have T.

    >>> Split(np.zeros((3, 5, 2), "float32"), np.array([0, 1, 1])).lengths is None
    True
    """

    xs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray | None = None


def chosen(split: Split, which: np.ndarray) -> Split:
    """The sequences of a split at some places, copied.

    Args:
      split: the sequences.
      which: numbers int [n], or flags bool [N].

    >>> chosen(Split(np.zeros((3, 5, 2)), np.array([7, 8, 9])), np.array([2, 0])).targets
    array([9, 7])
    """
    lengths = None if split.lengths is None else split.lengths[which]
    return Split(split.xs[which], split.targets[which], lengths)


class Stream(NamedTuple):
    """One long sequence for language modelling.

    Attributes:
      tokens: int32 [n]. The array may be a memory map of a file.

    >>> Stream(np.array([3, 1, 2], "int32")).tokens.shape
    (3,)
    """

    tokens: np.ndarray


class Meaning(NamedTuple):
    """What the numbers of a data set stand for. A model's file holds it.

    Attributes:
      classes: the names of classes, by number.
      vocabulary: the text of each input token, by number.
      inputs: the names of input features.
      targets: the names of predicted values.
      input_mean, input_scale: inputs are (raw - mean) / scale, for each feature. Empty: raw.
      target_mean, target_scale: the same for the values to predict.

    >>> meaning = Meaning(targets=("load",), target_mean=(50.0,), target_scale=(10.0,))
    >>> predicted = np.array([[0.5], [-1.0]])
    >>> predicted * meaning.target_scale + meaning.target_mean  # in the units of the data
    array([[55.],
           [40.]])
    """

    classes: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    input_mean: tuple[float, ...] = ()
    input_scale: tuple[float, ...] = ()
    target_mean: tuple[float, ...] = ()
    target_scale: tuple[float, ...] = ()


class Data(NamedTuple):
    """A data set.

    Attributes:
      train: the training part.
      valid: the validation part, which determines the best model of a run. None: the model of the
        last step is the result.
      test: the part that the resulting model is measured on. None: it is not measured.
      meaning: what the numbers stand for.
      augment: a function that returns changed inputs xs for a key and the inputs of a training
        batch. It runs inside the compiled step, with another key at each step. None: no change.

    >>> split = Split(np.zeros((3, 5, 2), "float32"), np.array([0, 1, 1]))
    >>> Data(split, None, None).meaning.classes
    ()
    """

    train: Split | Stream
    valid: Split | Stream | None
    test: Split | Stream | None
    meaning: Meaning = Meaning()
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None
