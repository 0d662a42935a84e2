"""JAX's checks for NaN and infinity, for primitives of this library."""

import functools

import jax
from jax._src import checkify
from jax.extend.core import Primitive


def repeating() -> bool:
    """Whether JAX looks for NaN by repeating compiled functions, one operation at a time."""
    config = jax.config
    return config.jax_debug_nans or config.jax_debug_infs  # type: ignore[attr-defined]


def register(primitive: Primitive) -> None:
    """Has `checkify.float_checks` look at the results of a primitive.

    JAX has no public function for that.
    """
    check = functools.partial(checkify.nan_error_check, primitive)
    checkify.error_checks[primitive] = check
