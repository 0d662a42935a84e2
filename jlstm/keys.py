"""Checks of random keys."""

from typing import Any

import jax
import jax.numpy as jnp


def require_key(value: Any) -> None:
    """Checks that `value` is a single key of jax.random, typed or raw."""
    dtype = getattr(value, "dtype", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not typed and dtype != jnp.uint32:
        raise TypeError(f"key is {value!r:.60}; expected a random key, such as jax.random.key(0)")
    if jnp.ndim(value) != (0 if typed else 1):
        raise ValueError(
            f"key has shape {jnp.shape(value)}; expected a single random key, such as "
            "jax.random.key(0) or one element of the result of jax.random.split"
        )
    own = () if typed else jax.eval_shape(lambda: jax.random.PRNGKey(0)).shape
    if not typed and value.shape != own:
        raise ValueError(
            f"key has shape {value.shape}; raw keys of JAX's current generator have {own}: use a "
            "typed key, such as jax.random.key(0), which knows its generator"
        )
