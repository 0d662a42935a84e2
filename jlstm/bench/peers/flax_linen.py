"""flax.linen: RNN over OptimizedLSTMCell."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jlstm.bench.peers import Program, jax_program, plain
from jlstm.bench.problem import LayerWeights, Problem
from jlstm.dtypes import state_dtype


def prepare(problem: Problem, mode: str) -> Program:
    """One RNN, or Bidirectional of two, per layer; time-major."""
    plain.require(problem, resets=False, directions=mode != "step")
    config = problem.case.config
    # The weights are passed in, so the cell's param_dtype only sets the dtype of its carry.
    formats: dict[str, Any] = {
        "dtype": jnp.dtype(config.dtype),
        "param_dtype": state_dtype(config.dtype),
    }

    def rnn(hidden_size: int) -> linen.RNN:
        return linen.RNN(linen.OptimizedLSTMCell(hidden_size, **formats), time_major=True)

    def bidirectional(hidden_size: int) -> linen.Bidirectional:
        both = rnn(hidden_size), rnn(hidden_size)
        return linen.Bidirectional(*both, time_major=True)

    layers = [
        (bidirectional if layer.bidirectional else rnn)(layer.hidden_size)
        for layer in config.layers
    ]
    cells = [linen.OptimizedLSTMCell(layer.hidden_size, **formats) for layer in config.layers]

    def cell_variables(w_x: jax.Array, w_h: jax.Array, b: jax.Array) -> Any:
        cell: dict[str, Any] = {}
        sides = (jnp.split(w_x, 4, 1), jnp.split(w_h, 4, 1), jnp.split(b, 4))
        for gate, x, h, bias in zip("ifgo", *sides, strict=True):
            cell[f"i{gate}"] = {"kernel": x}
            cell[f"h{gate}"] = {"kernel": h, "bias": bias}
        return cell

    def weights(given: tuple[LayerWeights, ...]) -> Any:
        own: list[Any] = []
        for layer in given:
            each = [cell_variables(*(a[d] for a in layer)) for d in range(len(layer.b))]
            if len(each) == 1:
                own.append({"params": {"cell": each[0]}})
            else:  # linen names a cell after its parent module
                names = ("forward_rnn", "backward_rnn")
                own.append({"params": {n: {"cell": c} for n, c in zip(names, each, strict=True)}})
        return own

    def forward(own: Any, xs: jax.Array, lengths: Any, resets: None) -> jax.Array:
        for layer, variables in zip(layers, own, strict=True):
            xs = layer.apply(variables, xs, seq_lengths=lengths)  # type: ignore[assignment]
        return plain.zero_padding(xs, lengths).astype(config.dtype)

    def step(own: Any, carry: Any, x: Any) -> Any:
        after = []
        for cell, variables, state in zip(cells, own, carry, strict=True):
            state, x = cell.apply({"params": variables["params"]["cell"]}, state, x)  # type: ignore[misc]
            after.append(state)
        return after, x.astype(config.dtype)

    shape, kept = (problem.case.shape.batch_size,), state_dtype(config.dtype)
    start = [(jnp.zeros((*shape, layer.hidden_size), kept),) * 2 for layer in config.layers]
    return jax_program.prepare(problem, mode, weights, forward, step, start)
