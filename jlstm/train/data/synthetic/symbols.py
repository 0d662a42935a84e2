"""Symbols as the inputs of a network: one-hot vectors or tokens."""

from typing import Literal

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Split

Form = Literal["one_hot", "tokens"]


def encoded(tokens: np.ndarray, symbols: int, form: str) -> np.ndarray:
    """The inputs xs of a split for tokens [N, T], -1 after the end of a sequence.

    Args:
      tokens: whole numbers below `symbols`, or -1.
      symbols: how many there are.
      form: "one_hot": float32 [N, T, symbols], zeros after the end. "tokens": int32 [N, T] for a
        model with an embedding, 0 after the end.

    Raises:
      TypeError, ValueError: the form is not known.

    >>> encoded(np.array([[1, 0, -1]]), 2, "one_hot").tolist()
    [[[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]]
    """
    if validation.known_name("inputs", form, ("one_hot", "tokens")) == "tokens":
        return np.maximum(tokens, 0).astype(np.int32)
    # The row of -1 is the last one, of zeros.
    return np.eye(symbols + 1, symbols, dtype=np.float32)[tokens]


def decoded(split: Split) -> np.ndarray:
    """The tokens of `encoded`, int32 [N, T], from the inputs and lengths of a split.

    >>> split = Split(encoded(np.array([[1, 0, -1]]), 2, "tokens"), np.array([0]), np.array([2]))
    >>> decoded(split).tolist()
    [[1, 0, -1]]
    """
    xs = split.xs
    tokens = np.array(xs if xs.ndim == 2 else xs.argmax(axis=-1), np.int32)
    if split.lengths is not None:
        tokens[np.arange(tokens.shape[1]) >= split.lengths[:, None]] = -1
    return tokens
