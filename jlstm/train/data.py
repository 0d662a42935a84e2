"""Data sets from installed packages; nothing is downloaded."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Split(NamedTuple):
    """Sequences xs [N, T, features] in float32 and labels [N] in int32."""

    xs: np.ndarray
    labels: np.ndarray


def digits() -> tuple[Split, Split]:
    """scikit-learn's 1,797 handwritten digits, row by row: 1,437 to train on, 360 to test on.

    Each digit is a sequence of 8 steps of 8 pixels, each pixel between 0 and 1. The split is fixed
    and stratified: both parts have the same share of each digit.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise ImportError(
            "the digits data set needs scikit-learn, which is not installed: "
            "pip install scikit-learn"
        ) from None
    bunch: Any = load_digits()
    images, labels = bunch.data, bunch.target
    xs, labels = (images / 16.0).reshape(-1, 8, 8).astype("float32"), labels.astype("int32")
    chosen, rest = train_test_split(
        np.arange(len(labels)), test_size=360, random_state=0, stratify=labels
    )
    return Split(xs[chosen], labels[chosen]), Split(xs[rest], labels[rest])


def shifted(key: jax.Array, xs: jax.Array, fraction: float) -> jax.Array:
    """Images xs [N, rows, columns], a random fraction of them shifted by up to one pixel each way.

    Pixels shifted out are lost; pixels shifted in are black. Shifting anew at every step augments
    the training set.
    """
    n, rows, columns = xs.shape
    k_chosen, k_moves = jax.random.split(key)
    moves = jax.random.randint(k_moves, (n, 2), -1, 2)
    moves = jnp.where(jax.random.bernoulli(k_chosen, fraction, (n, 1)), moves, 0)
    framed = jnp.pad(xs, ((0, 0), (1, 1), (1, 1)))

    def cut(image: jax.Array, move: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, 1 + move, (rows, columns))

    return jax.vmap(cut)(framed, moves)
