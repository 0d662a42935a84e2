"""NumPy arrays that JAX can use without a copy."""

import jax
import numpy as np

_BYTES = 64  # the alignment that JAX needs to use memory without a copy


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised array. Fill it, pass it to `to_jax`, and do not write to it afterwards."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + _BYTES, np.uint8)
    start = -raw.ctypes.data % _BYTES
    return raw[start : start + size].view(dtype).reshape(shape)


def to_jax(array: np.ndarray) -> jax.Array:
    """A JAX array that shares the memory of `array` on a CPU, and copies it on other devices."""
    return jax.device_put(array, may_alias=True)
