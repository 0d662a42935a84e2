"""flax.nnx: RNN over OptimizedLSTMCell."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jlstm.bench.peers import Program, jax_program, plain
from jlstm.bench.problem import LayerWeights, Problem
from jlstm.dtypes import state_dtype


def prepare(problem: Problem, mode: str) -> Program:
    """One RNN per layer and direction, time-major, split into graph and state."""
    plain.require(problem, resets=False, directions=mode != "step")
    config, batch = problem.case.config, problem.case.shape.batch_size
    kept = state_dtype(config.dtype)
    graphs: list[Any] = []
    for layer, size in zip(config.layers, config.input_sizes, strict=True):
        directions = []
        for _ in range(2 if layer.bidirectional else 1):
            dtype = jnp.dtype(config.dtype)
            cell = nnx.OptimizedLSTMCell(size, layer.hidden_size, dtype=dtype, rngs=nnx.Rngs(0))
            directions.append(nnx.split(nnx.RNN(cell, time_major=True), nnx.Param, ...))
        graphs.append(directions)

    def weights(given: tuple[LayerWeights, ...]) -> Any:
        own = []
        for directions, layer in zip(graphs, given, strict=True):
            states = []
            for d, (graph, _, rest) in enumerate(directions):
                rnn = nnx.merge(graph, directions[d][1], rest, copy=True)
                rnn.cell.dense_i.kernel = nnx.Param(layer.w_x[d])
                rnn.cell.dense_h.kernel = nnx.Param(layer.w_h[d])
                rnn.cell.dense_h.bias = nnx.Param(layer.b[d])
                states.append(nnx.state(rnn, nnx.Param))
            own.append(states)
        return own

    def zeros(n: int) -> Any:
        return (jnp.zeros((batch, config.layers[n].hidden_size), kept),) * 2

    def forward(own: Any, xs: jax.Array, lengths: Any, resets: None) -> jax.Array:
        for n, directions in enumerate(graphs):
            outputs = []
            for d, (graph, _, rest) in enumerate(directions):
                rnn = nnx.merge(graph, own[n][d], rest)
                backwards = {"reverse": d == 1, "keep_order": d == 1}
                # Without a carry the cell draws one, which changes a random counter under jit.
                given: dict[str, Any] = {"initial_carry": zeros(n), "seq_lengths": lengths}
                outputs.append(rnn(xs, **given, **backwards))
            xs = plain.zero_padding(jnp.concatenate(outputs, -1), lengths)
        return xs.astype(config.dtype)

    def step(own: Any, carry: Any, x: jax.Array) -> Any:
        after = []
        for directions, states, state in zip(graphs, own, carry, strict=True):
            graph, _, rest = directions[0]
            state, x = nnx.merge(graph, states[0], rest).cell(state, x)
            after.append(state)
        return after, x.astype(config.dtype)

    start = [zeros(n) for n in range(len(graphs))]
    return jax_program.prepare(problem, mode, weights, forward, step, start)
