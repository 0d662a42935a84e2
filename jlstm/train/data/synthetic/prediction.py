"""Predictions of the next symbol, judged by the symbols that a grammar allows."""

import numpy as np

from jlstm import validation


def correct(scores: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Where the allowed symbols are those with the highest scores, bool [N, T].

    A grammar often allows two next symbols, and a sequence shows one of them. A model that is
    trained on the shown symbol with cross-entropy learns the probability of each. It has understood
    the grammar if every allowed symbol has a higher score than every other symbol. Equal scores and
    NaN are not correct. Steps where nothing is allowed, such as those after the end, are correct.

    `.all(axis=1)` tells which sequences are correct as a whole.

    Args:
      scores: float [N, T, symbols], such as the outputs of the task label.
      allowed: bool [N, T, symbols], such as `reber.allowed` and `counting.allowed` return.

    Raises:
      ValueError: the shapes differ, or allowed is not bool.

    >>> allowed = np.array([[[True, True, False], [False, False, True]]])
    >>> correct(np.array([[[0.6, 0.3, 0.1], [0.5, 0.1, 0.4]]]), allowed)
    array([[ True, False]])
    """
    scores, allowed = np.asarray(scores), np.asarray(allowed)
    if scores.ndim != 3 or scores.shape != allowed.shape:
        raise ValueError(
            f"scores have shape {scores.shape} and allowed {allowed.shape}; expected the same "
            "[N, T, symbols] for both"
        )
    if allowed.dtype != bool:
        raise ValueError(f"allowed has dtype {allowed.dtype}; expected bool")
    lowest = np.where(allowed, scores, np.inf).min(axis=-1)
    highest = np.where(allowed, -np.inf, scores).max(axis=-1)
    return (lowest > highest) | ~allowed.any(axis=-1)


def right_at_first(correct: np.ndarray) -> np.ndarray:
    """The number of correct steps before the first wrong one of each sequence, int [N].

    It is the measure of `continual_reber`.

    Args:
      correct: bool [N, T].

    Raises:
      ValueError: correct is not bool [N, T].

    >>> right_at_first(np.array([[True, False, True], [True, True, True]]))
    array([1, 3])
    """
    correct = np.asarray(correct)
    if correct.ndim != 2 or correct.dtype != bool:
        said = validation.shown((correct.dtype.name, correct.shape))
        raise ValueError(f"correct is {said}; expected bool [N, T]")
    wrong = ~correct
    return np.where(wrong.any(axis=1), wrong.argmax(axis=1), correct.shape[1])
