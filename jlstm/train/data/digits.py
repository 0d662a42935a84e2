"""scikit-learn's handwritten digits, row by row."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm import validation
from jlstm.train.data.split import Data, Meaning, Split


def digits(*, shift: float = 0.0, valid: int = 0) -> Data:
    """scikit-learn's 1,797 handwritten digits, row by row: 1,437 to train on, 360 to test on.

    Each digit is a sequence of 8 steps of 8 pixels, each pixel between 0 and 1. The split is fixed
    and stratified: both parts have the same share of each digit.

    Args:
      shift: the fraction of training images that are shifted by up to one pixel. At every step,
        other images are drawn.
      valid: the number of training images to choose the best model by, instead of training on them:
        the first of them, which the split has drawn at random.

    Raises:
      ImportError: scikit-learn is not installed.
      ValueError: shift is not between 0 and 1, or valid leaves too few images.
    """
    validation.number("shift", shift, low=0.0, high=1.0)
    validation.number("valid", validation.integer("valid", valid), low=0, high=1000)
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise ImportError(
            "the digits data set needs scikit-learn, which is not installed: "
            "pip install scikit-learn"
        ) from None
    bunch: Any = load_digits()
    xs = (bunch.data / 16.0).reshape(-1, 8, 8).astype("float32")
    labels = bunch.target.astype("int32")
    chosen, rest = train_test_split(
        np.arange(len(labels)), test_size=360, random_state=0, stratify=labels
    )
    kept, apart = chosen[valid:], chosen[:valid]
    return Data(
        Split(xs[kept], labels[kept]),
        Split(xs[apart], labels[apart]) if valid else None,
        Split(xs[rest], labels[rest]),
        Meaning(classes=tuple(map(str, range(10)))),
        functools.partial(shifted, fraction=shift) if shift else None,
    )


def shifted(key: jax.Array, xs: jax.Array, fraction: float) -> jax.Array:
    """Images of which a random fraction is shifted by up to one pixel along each axis.

    Pixels shifted out are lost. Pixels shifted in are 0.

    Args:
      key: the key of the draws.
      xs: images float32 [N, rows, columns].
      fraction: the probability of each image to be shifted.
    """
    n, rows, columns = xs.shape
    k_chosen, k_moves = jax.random.split(key)
    moves = jax.random.randint(k_moves, (n, 2), -1, 2)
    moves = jnp.where(jax.random.bernoulli(k_chosen, fraction, (n, 1)), moves, 0)
    framed = jnp.pad(xs, ((0, 0), (1, 1), (1, 1)))

    def cut(image: jax.Array, move: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, 1 + move, (rows, columns))

    return jax.vmap(cut)(framed, moves)
