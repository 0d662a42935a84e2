"""Sums over arrays that tell whether a checkpoint gives back the arrays that were saved.

Orbax finds most damage of a file itself, but not a changed byte in the data of a large array.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def described(state: Any) -> dict[str, list]:
    """The dtype, shape and fingerprint of every array of a pytree, by its path.

    The values are JSON. Equal arrays have equal fingerprints, however they are sharded.

    >>> described({"w": jnp.ones((2, 3))})
    {'w': ['float32', [2, 3], 253921225]}
    """
    arrays = {path: _words_of(leaf) for path, leaf in by_path(state).items()}
    sums = {path: _sum(words) for path, words in arrays.items()}  # all run before one is awaited
    shapes = form(state)
    return {path: [*shapes[path], int(np.asarray(total))] for path, total in sums.items()}


def form(state: Any) -> dict[str, tuple[str, list[int]]]:
    """The dtype and shape of every array of a pytree, or of its ShapeDtypeStructs, by its path."""
    return {
        path: (str(leaf.dtype), list(leaf.shape)) if hasattr(leaf, "dtype") else (str(leaf), [])
        for path, leaf in by_path(state).items()
    }


def by_path(state: Any) -> dict[str, Any]:
    """The leaves of a pytree by their paths, such as "model.network.layers.0.w_x"."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _words_of(leaf: Any) -> jax.Array:
    """An array of numbers with the bits of a leaf."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(leaf)
    return jnp.asarray(leaf)


@jax.jit
def _sum(x: jax.Array) -> jax.Array:
    """The sum of the mixed words of an array, modulo 2**32.

    A word is mixed with its place by a bijection, the end of MurmurHash3, so any one changed word
    changes the sum. Sums of integers do not depend on their order, and so not on the devices.
    """
    if jnp.iscomplexobj(x):
        x = jnp.stack([x.real, x.imag])
    if x.dtype == bool:
        x = x.astype("uint8")
    bits = min(32, 8 * x.dtype.itemsize)
    words = jax.lax.bitcast_convert_type(x, f"uint{bits}").astype("uint32")
    place = jnp.zeros((), "uint32")
    for axis in range(words.ndim):
        stride = np.uint32(math.prod(words.shape[axis + 1 :]) % 2**32)
        place = place + jax.lax.broadcasted_iota("uint32", words.shape, axis) * stride
    mixed = words + place * np.uint32(0x9E3779B9)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> shift)) * np.uint32(factor)
    return jnp.sum(mixed ^ (mixed >> 16), dtype="uint32")
