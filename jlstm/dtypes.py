"""Which dtype is used where, and checks of dtypes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def dtype_name(dtype: Any) -> Any:
    """The name of a dtype of NumPy or JAX. Other values, names among them, come back unchanged.

    Python's float is among the others: to NumPy it is float64, and to JAX usually float32.
    """
    of_numpy = isinstance(dtype, type) and issubclass(dtype, np.generic)  # np.float32
    of_jax = isinstance(dtype, type) and hasattr(dtype, "dtype")  # jnp.float32
    return jnp.dtype(dtype).name if isinstance(dtype, np.dtype) or of_numpy or of_jax else dtype


def state_dtype(dtype: str | jnp.dtype) -> jnp.dtype:
    """The dtype of the carry and the gates if products have operands in `dtype`."""
    return jnp.dtype("float64" if jnp.dtype(dtype) == jnp.float64 else "float32")


def require_x64(dtype: str | jnp.dtype) -> None:
    """Raises ValueError if `dtype` is float64 and jax_enable_x64 is off."""
    if jnp.dtype(dtype) == jnp.float64 and not jax.config.read("jax_enable_x64"):
        raise ValueError(
            "the dtype is float64, but jax_enable_x64 is off, so JAX computes in float32; call "
            'jax.config.update("jax_enable_x64", True) first, or use "float32"'
        )


def require_floating(what: str, dtype: jnp.dtype) -> None:
    """Raises TypeError unless `dtype` is a real floating-point dtype."""
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"{what} has dtype {dtype}; expected floating-point numbers: "
            f'convert with jnp.asarray(..., "float32")'
        )
