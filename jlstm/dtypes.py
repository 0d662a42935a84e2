"""Which number format is used where."""

import jax
import jax.numpy as jnp


def state_dtype(dtype: str | jnp.dtype) -> jnp.dtype:
    """What the carry and the gates are kept in when products are taken in `dtype`."""
    return jnp.dtype("float64" if jnp.dtype(dtype) == jnp.float64 else "float32")


def require_x64(dtype: str | jnp.dtype) -> None:
    """ValueError where `dtype` is float64 and JAX is set to drop to float32."""
    if jnp.dtype(dtype) == jnp.float64 and not jax.config.read("jax_enable_x64"):
        raise ValueError(
            "float64 was asked for, but JAX computes in float32 unless told otherwise; run "
            'jax.config.update("jax_enable_x64", True) first, or use "float32"'
        )


def require_floating(what: str, dtype: jnp.dtype) -> None:
    """TypeError unless `dtype` holds real floating-point numbers."""
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"{what} has dtype {dtype}; expected floating-point numbers: "
            f'convert with jnp.asarray(..., "float32")'
        )
