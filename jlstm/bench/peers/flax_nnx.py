"""flax.nnx: RNN over OptimizedLSTMCell."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jlstm.bench.peers import plain
from jlstm.config import Config
from jlstm.dtypes import state_dtype
from jlstm.params import Params


def forward(config: Config, params: Params) -> tuple[Any, Callable[[Any, jax.Array], jax.Array]]:
    """One RNN a layer, time-major, split into a graph and its state."""
    plain.require(config)
    graphs, states = [], []
    for layer, size, own in zip(config.layers, config.input_sizes, params.layers, strict=True):
        cell: Any = nnx.OptimizedLSTMCell(
            size, layer.hidden_size, dtype=jnp.dtype(config.dtype), rngs=nnx.Rngs(0)
        )
        cell.dense_i.kernel = nnx.Param(own.w_x)
        cell.dense_h.kernel = nnx.Param(own.w_h)
        cell.dense_h.bias = nnx.Param(own.b)
        graph, weights, rest = nnx.split(nnx.RNN(cell, time_major=True), nnx.Param, ...)
        graphs.append((graph, rest))
        states.append(weights)

    def run(weights: Any, xs: jax.Array) -> jax.Array:
        for (graph, rest), own, layer in zip(graphs, weights, config.layers, strict=True):
            # Without a carry the cell draws one, which moves a random stream's counter under jit.
            zeros = jnp.zeros((xs.shape[1], layer.hidden_size), state_dtype(config.dtype))
            xs = nnx.merge(graph, own, rest)(xs, initial_carry=(zeros, zeros))
        return xs.astype(config.dtype)

    return states, run
