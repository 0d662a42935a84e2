"""Normalisation to mean 0 and variance 1, with another derivative at vectors of equal numbers."""

import jax
import jax.numpy as jnp


def standardised(a: jax.Array, epsilon: float, *, flat: bool) -> jax.Array:
    """(a - mean a) / sqrt(var a + epsilon) over the last axis of `a` [..., N].

    The derivative at a vector of equal numbers would be 1 / sqrt(epsilon) times that of a - mean a.
    A sequence that begins with zeros would meet this factor at every step, and the product would
    overflow. At such vectors the derivative is therefore replaced: by zero if `flat`, otherwise by
    that of a - mean a. No value changes.

    `jnp.where` selects the derivative. `jax.custom_jvp` is not used, because jax.lax.scan ignores
    its rules in second derivatives.

    Args:
      a: vectors along the last axis.
      epsilon: added to the variance, above 0.
      flat: which derivative to use at vectors of equal numbers.
    """
    centred = a - jnp.mean(a, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    # The mean of equal numbers may be rounded. So the variance does not say whether they are equal.
    spread = jnp.sum(jnp.square(a - a[..., :1]), axis=-1, keepdims=True)
    equal = jax.lax.stop_gradient(spread) == 0
    at_equal = jax.lax.stop_gradient(centred * jax.lax.rsqrt(variance + epsilon))
    if not flat:
        at_equal = at_equal + (centred - jax.lax.stop_gradient(centred))
    # Derivatives of both branches are computed, and the one that is not used must be finite.
    variance = jnp.where(equal, 1.0, variance)
    return jnp.where(equal, at_equal, centred * jax.lax.rsqrt(variance + epsilon))
