"""The scan that people write by hand: both products in the loop, autodiff through it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jlstm.bench.peers import plain
from jlstm.config import Config
from jlstm.dtypes import state_dtype
from jlstm.params import Params


def forward(config: Config, params: Params) -> tuple[Any, Callable[[Any, jax.Array], jax.Array]]:
    """One lax.scan a layer."""
    plain.require(config)
    dtype = config.dtype

    def run(weights: Params, xs: jax.Array) -> jax.Array:
        for w_x, w_h, b, _ in jax.tree.map(lambda a: a.astype(dtype), weights.layers):

            def step(state: Any, x: jax.Array, w_x=w_x, w_h=w_h, b=b) -> Any:
                c, h = state
                z = x.astype(dtype) @ w_x + h.astype(dtype) @ w_h + b
                i, f, g, o = jnp.split(z, 4, axis=-1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                h = jax.nn.sigmoid(o) * jnp.tanh(c)
                return (c, h), h

            zeros = jnp.zeros((xs.shape[1], w_h.shape[0]), state_dtype(dtype))
            _, xs = jax.lax.scan(step, (zeros, zeros), xs)
        return xs.astype(dtype)

    return params, run
