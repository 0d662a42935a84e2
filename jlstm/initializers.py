"""Initial weights with the distributions that other frameworks use, in this library's layout."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Weights = tuple[jax.Array, jax.Array, jax.Array]
Initializer = str | Callable[..., Any]
Shape = tuple[int, ...]


def weights(
    key: jax.Array, initializer: Initializer, w_x_shape: Shape, w_h_shape: Shape, dtype: str
) -> Weights:
    """w_x [I, 4H], w_h [P, 4H] and b [4H] of one direction, in `dtype`; forget_bias not added."""
    sizes = (w_x_shape[0], w_h_shape[0], w_x_shape[1] // 4)
    if callable(initializer):
        drawn = _from_function(initializer, key, *sizes, _drawn_in(dtype))
    else:
        drawn = _NAMED[initializer](key, *sizes, _drawn_in(dtype))
    w_x, w_h, b = drawn
    return w_x.astype(dtype), w_h.astype(dtype), b.astype(dtype)


def projection(
    key: jax.Array, initializer: Initializer, shape: Shape | None, dtype: str
) -> jax.Array | None:
    """A projection [H, P], or None if `shape` is None."""
    if shape is None:
        return None
    if initializer != "torch":
        return glorot_uniform(key, shape, dtype)
    bound = 1 / math.sqrt(shape[0])
    return jax.random.uniform(key, shape, _drawn_in(dtype), -bound, bound).astype(dtype)


def peepholes(key: jax.Array, shape: Shape | None, dtype: str) -> jax.Array | None:
    """Peepholes [3, H], uniform within sqrt(3/H) as in TensorFlow; None if `shape` is None."""
    if shape is None:
        return None
    bound = math.sqrt(3 / shape[1])
    return jax.random.uniform(key, shape, _drawn_in(dtype), -bound, bound).astype(dtype)


def glorot_uniform(key: jax.Array, shape: Shape, dtype: str) -> jax.Array:
    """A Glorot uniform matrix in `dtype`."""
    return jax.nn.initializers.glorot_uniform()(key, shape, _drawn_in(dtype)).astype(dtype)


def _drawn_in(dtype: str) -> jnp.dtype:
    # JAX draws orthogonal matrices by QR factorisation, which does not support bfloat16.
    return jnp.dtype("float64" if dtype == "float64" else "float32")


def _keras(key: jax.Array, inputs: int, state: int, units: int, dtype: jnp.dtype) -> Weights:
    k_x, k_h = jax.random.split(key)
    return (
        jax.nn.initializers.glorot_uniform()(k_x, (inputs, 4 * units), dtype),
        jax.nn.initializers.orthogonal()(k_h, (state, 4 * units), dtype),
        jnp.zeros(4 * units, dtype),
    )


def _torch(key: jax.Array, inputs: int, state: int, units: int, dtype: jnp.dtype) -> Weights:
    bound = 1 / math.sqrt(units)
    shapes = [(inputs, 4 * units), (state, 4 * units), (4 * units,), (4 * units,)]
    w_x, w_h, b_x, b_h = (
        jax.random.uniform(k, shape, dtype, -bound, bound)
        for k, shape in zip(jax.random.split(key, 4), shapes, strict=True)
    )
    return w_x, w_h, b_x + b_h


def _flax(key: jax.Array, inputs: int, state: int, units: int, dtype: jnp.dtype) -> Weights:
    k_x, k_h = jax.random.split(key)
    lecun, orthogonal = jax.nn.initializers.lecun_normal(), jax.nn.initializers.orthogonal()
    w_x = [lecun(k, (inputs, units), dtype) for k in jax.random.split(k_x, 4)]
    w_h = [orthogonal(k, (state, units), dtype) for k in jax.random.split(k_h, 4)]
    return jnp.concatenate(w_x, 1), jnp.concatenate(w_h, 1), jnp.zeros(4 * units, dtype)


def _haiku(key: jax.Array, inputs: int, state: int, units: int, dtype: jnp.dtype) -> Weights:
    # Haiku draws one matrix for input and hidden state together. It does not correct for the
    # smaller deviation of the truncated distribution.
    deviation = 1 / math.sqrt(inputs + state)
    drawn = jax.random.truncated_normal(key, -2, 2, (inputs + state, 4 * units), dtype)
    return drawn[:inputs] * deviation, drawn[inputs:] * deviation, jnp.zeros(4 * units, dtype)


def _from_function(
    function: Callable[..., Any],
    key: jax.Array,
    inputs: int,
    state: int,
    units: int,
    dtype: jnp.dtype,
) -> Weights:
    made = []
    for k, name, size in zip(jax.random.split(key), ("w_x", "w_h"), (inputs, state), strict=True):
        shape = (size, 4 * units)
        w = jnp.asarray(function(k, shape, dtype))
        if w.shape != shape:
            raise ValueError(
                f"the initializer {function!r} returned shape {w.shape} for {name}; expected "
                f"{shape}, the shape that it was called with"
            )
        made.append(w)
    return made[0], made[1], jnp.zeros(4 * units, dtype)


_NAMED = {"keras": _keras, "torch": _torch, "flax": _flax, "haiku": _haiku}
