"""flax.linen: RNN over OptimizedLSTMCell."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jlstm.bench.peers import plain
from jlstm.config import Config
from jlstm.dtypes import state_dtype
from jlstm.params import Params


def forward(config: Config, params: Params) -> tuple[Any, Callable[[Any, jax.Array], jax.Array]]:
    """One RNN a layer, time-major."""
    plain.require(config)
    # Weights come from outside; the cell's own param_dtype only says what its carry is kept in.
    formats: dict[str, Any] = {
        "dtype": jnp.dtype(config.dtype),
        "param_dtype": state_dtype(config.dtype),
    }
    layers = [
        linen.RNN(linen.OptimizedLSTMCell(layer.hidden_size, **formats), time_major=True)
        for layer in config.layers
    ]

    def variables(w_x: jax.Array, w_h: jax.Array, b: jax.Array) -> Any:
        cell: dict[str, Any] = {}
        sides = (jnp.split(w_x, 4, 1), jnp.split(w_h, 4, 1), jnp.split(b, 4))
        for gate, x, h, bias in zip("ifgo", *sides, strict=True):
            cell[f"i{gate}"] = {"kernel": x}
            cell[f"h{gate}"] = {"kernel": h, "bias": bias}
        return {"params": {"cell": cell}}

    def run(weights: Any, xs: jax.Array) -> jax.Array:
        for layer, own in zip(layers, weights, strict=True):
            xs = layer.apply(own, xs)  # type: ignore[assignment]
        return xs.astype(config.dtype)

    return [variables(p.w_x, p.w_h, p.b) for p in params.layers if p.b is not None], run
