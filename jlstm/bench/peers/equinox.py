"""Equinox: LSTMCell in a scan over one sequence, vmapped over the batch, as its examples do."""

from typing import Any

import equinox
import jax
import jax.numpy as jnp

from jlstm.bench.peers import Program, jax_program, plain
from jlstm.bench.problem import LayerWeights, Problem


def prepare(problem: Problem, mode: str) -> Program:
    """One cell per layer."""
    plain.require(problem, lengths=False, resets=False, directions=False)
    config, batch, dtype = problem.case.config, problem.case.shape.batch_size, jnp.dtype
    cells = [
        equinox.nn.LSTMCell(
            size, layer.hidden_size, dtype=dtype(config.dtype), key=jax.random.key(0)
        )
        for layer, size in zip(config.layers, config.input_sizes, strict=True)
    ]

    def weights(layers: tuple[LayerWeights, ...]) -> Any:
        def parts(cell: Any) -> Any:
            return cell.weight_ih, cell.weight_hh, cell.bias

        own = []
        for cell, ((w_x,), (w_h,), (b,)) in zip(cells, layers, strict=True):
            arrays = tuple(a.astype(config.dtype) for a in (w_x.T, w_h.T, b))
            cell = equinox.tree_at(parts, cell, arrays)
            own.append(equinox.filter(cell, equinox.is_array))
        return own

    def restored(own: Any) -> Any:
        return [
            equinox.combine(arrays, equinox.filter(cell, equinox.is_array, inverse=True))
            for arrays, cell in zip(own, cells, strict=True)
        ]

    def zeros(shape: tuple[int, ...]) -> Any:
        return [
            (jnp.zeros((*shape, layer.hidden_size), config.dtype),) * 2 for layer in config.layers
        ]

    def one_sequence(own: Any, xs: jax.Array) -> jax.Array:
        for cell, start in zip(restored(own), zeros(()), strict=True):

            def step(state: Any, x: jax.Array, cell: Any = cell) -> Any:
                state = cell(x, state)
                return state, state[0]

            xs = jax.lax.scan(step, start, xs)[1]
        return xs

    def forward(own: Any, xs: jax.Array, lengths: None, resets: None) -> jax.Array:
        return jax.vmap(one_sequence, (None, 1), 1)(own, xs)

    def step(own: Any, carry: Any, x: jax.Array) -> Any:
        after = []
        for cell, state in zip(restored(own), carry, strict=True):
            state = jax.vmap(cell)(x, state)
            x = state[0]
            after.append(state)
        return after, x

    return jax_program.prepare(problem, mode, weights, forward, step, zeros((batch,)))
