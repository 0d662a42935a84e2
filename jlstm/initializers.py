"""The weights that other frameworks start from, in this library's layout."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Weights = tuple[jax.Array, jax.Array, jax.Array]


def weights(
    key: jax.Array,
    initializer: str | Callable[..., Any],
    input_size: int,
    hidden_size: int,
    dtype: str,
) -> Weights:
    """w_x [I, 4H], w_h [H, 4H] and b [4H] of one direction, in `dtype`, without forget bias."""
    # Orthogonal matrices come from a QR factorisation, which bfloat16 does not have.
    drawn = jnp.dtype("float64" if dtype == "float64" else "float32")
    if callable(initializer):
        drawn_weights = _from_function(initializer, key, input_size, hidden_size, drawn)
    else:
        drawn_weights = _NAMED[initializer](key, input_size, hidden_size, drawn)
    w_x, w_h, b = drawn_weights
    return w_x.astype(dtype), w_h.astype(dtype), b.astype(dtype)


def _keras(key: jax.Array, inputs: int, units: int, dtype: jnp.dtype) -> Weights:
    k_x, k_h = jax.random.split(key)
    return (
        jax.nn.initializers.glorot_uniform()(k_x, (inputs, 4 * units), dtype),
        jax.nn.initializers.orthogonal()(k_h, (units, 4 * units), dtype),
        jnp.zeros(4 * units, dtype),
    )


def _torch(key: jax.Array, inputs: int, units: int, dtype: jnp.dtype) -> Weights:
    bound = 1 / math.sqrt(units)
    shapes = [(inputs, 4 * units), (units, 4 * units), (4 * units,), (4 * units,)]
    w_x, w_h, b_x, b_h = (
        jax.random.uniform(k, shape, dtype, -bound, bound)
        for k, shape in zip(jax.random.split(key, 4), shapes, strict=True)
    )
    return w_x, w_h, b_x + b_h


def _flax(key: jax.Array, inputs: int, units: int, dtype: jnp.dtype) -> Weights:
    k_x, k_h = jax.random.split(key)
    lecun, orthogonal = jax.nn.initializers.lecun_normal(), jax.nn.initializers.orthogonal()
    w_x = [lecun(k, (inputs, units), dtype) for k in jax.random.split(k_x, 4)]
    w_h = [orthogonal(k, (units, units), dtype) for k in jax.random.split(k_h, 4)]
    return jnp.concatenate(w_x, 1), jnp.concatenate(w_h, 1), jnp.zeros(4 * units, dtype)


def _haiku(key: jax.Array, inputs: int, units: int, dtype: jnp.dtype) -> Weights:
    # Haiku draws one matrix for input and hidden state together, and does not make up for the
    # deviation that truncation takes away.
    deviation = 1 / math.sqrt(inputs + units)
    drawn = jax.random.truncated_normal(key, -2, 2, (inputs + units, 4 * units), dtype)
    return drawn[:inputs] * deviation, drawn[inputs:] * deviation, jnp.zeros(4 * units, dtype)


def _from_function(
    function: Callable[..., Any], key: jax.Array, inputs: int, units: int, dtype: jnp.dtype
) -> Weights:
    made = []
    for k, name, size in zip(jax.random.split(key), ("w_x", "w_h"), (inputs, units), strict=True):
        shape = (size, 4 * units)
        w = jnp.asarray(function(k, shape, dtype))
        if w.shape != shape:
            raise ValueError(
                f"the initializer {function!r} returned shape {w.shape} for {name}; expected "
                f"{shape}, as it was asked for"
            )
        made.append(w)
    return made[0], made[1], jnp.zeros(4 * units, dtype)


_NAMED = {"keras": _keras, "torch": _torch, "flax": _flax, "haiku": _haiku}
