"""A typical hand-written scan: both products in the loop, and autodiff through it."""

from typing import Any

import jax
import jax.numpy as jnp

from jlstm.bench.peers import Program, UnsupportedError, jax_program, plain
from jlstm.bench.problem import LayerWeights, Problem
from jlstm.dtypes import state_dtype


def prepare(problem: Problem, mode: str) -> Program:
    """One lax.scan per layer and direction."""
    plain.require(problem)
    config, batch = problem.case.config, problem.case.shape.batch_size
    dtype = config.dtype
    if mode == "step" and any(layer.bidirectional for layer in config.layers):
        raise UnsupportedError("a bidirectional layer has no single step")
    start = [
        (jnp.zeros((batch, layer.hidden_size), state_dtype(dtype)),) * 2 for layer in config.layers
    ]

    def cell(arrays: tuple[jax.Array, ...], state: Any, x: jax.Array) -> Any:
        (w_x, w_h, b), (c, h) = arrays, state
        z = x.astype(dtype) @ w_x + h.astype(dtype) @ w_h + b
        i, f, g, o = jnp.split(z, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return c, jax.nn.sigmoid(o) * jnp.tanh(c)

    def forward(weights: Any, xs: jax.Array, lengths: Any, resets: Any) -> jax.Array:
        valid = None if lengths is None else jnp.arange(len(xs))[:, None] < lengths
        # Going backwards, an episode begins after the step that forward begins it.
        ends = None if resets is None else jnp.roll(resets, -1, 0).at[-1].set(False)
        for layer, zeros in zip(weights, start, strict=True):
            outputs = []
            for d in range(len(layer[0])):
                arrays = tuple(a[d].astype(dtype) for a in layer)
                cuts = resets if d == 0 else ends

                def step(state: Any, now: Any, arrays: Any = arrays) -> Any:
                    x, cut, live = now
                    if cut is not None:
                        state = tuple(jnp.where(cut[:, None], 0, a) for a in state)
                    new = cell(arrays, state, x)
                    if live is not None:
                        new = tuple(
                            jnp.where(live[:, None], a, old)
                            for a, old in zip(new, state, strict=True)
                        )
                    return new, new[1]

                outputs.append(jax.lax.scan(step, zeros, (xs, cuts, valid), reverse=d == 1)[1])
            xs = jnp.concatenate(outputs, -1)
            xs = plain.zero_padding(xs, lengths).astype(dtype)
        return xs

    def one_step(weights: Any, carry: Any, x: jax.Array) -> Any:
        states = []
        for layer, state in zip(weights, carry, strict=True):
            states.append(cell(tuple(a[0].astype(dtype) for a in layer), state, x))
            x = states[-1][1]
        return states, x.astype(dtype)

    def weights(layers: tuple[LayerWeights, ...]) -> Any:
        return [tuple(layer) for layer in layers]

    return jax_program.prepare(problem, mode, weights, forward, one_step, start)
