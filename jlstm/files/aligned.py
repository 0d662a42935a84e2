"""Arrays filled by NumPy that JAX takes over without another copy."""

import jax
import numpy as np

_BYTES = 64  # where JAX wants an array to begin


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array to be filled and then given to `to_jax`, and not written to after that."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + _BYTES, np.uint8)
    start = -raw.ctypes.data % _BYTES
    return raw[start : start + size].view(dtype).reshape(shape)


def to_jax(array: np.ndarray) -> jax.Array:
    """The same memory as an array of JAX's on a CPU; a copy on other devices."""
    return jax.device_put(array, may_alias=True)
