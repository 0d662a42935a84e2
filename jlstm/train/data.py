"""Data sets that come with installed packages."""

from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Sequences xs [N, T, features] in float32 and labels [N] in int32."""

    xs: np.ndarray
    labels: np.ndarray


def digits() -> tuple[Split, Split]:
    """scikit-learn's 1,797 handwritten digits, read row by row, as 1,437 to train on and 360 to test.

    Each is a sequence of 8 steps of 8 pixels within 0 and 1. The split is always the same, with
    the same share of each digit on both sides.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise ImportError("the digits come with scikit-learn: pip install scikit-learn") from None
    images, labels = load_digits(return_X_y=True)
    xs = (images / 16.0).reshape(-1, 8, 8).astype("float32")
    train_xs, test_xs, train_labels, test_labels = train_test_split(
        xs, labels.astype("int32"), test_size=360, random_state=0, stratify=labels
    )
    return Split(train_xs, train_labels), Split(test_xs, test_labels)
