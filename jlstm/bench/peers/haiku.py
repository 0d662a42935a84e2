"""Haiku: dynamic_unroll over LSTM, in a ResetCore if there are resets."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from jlstm.bench.peers import Program, jax_program, plain
from jlstm.bench.problem import LayerWeights, Problem


def prepare(problem: Problem, mode: str) -> Program:
    """A DeepRNN of LSTMs, unrolled by a scan."""
    plain.require(problem, lengths=False, directions=False, dtypes=("float32", "float64"))
    config, batch = problem.case.config, problem.case.shape.batch_size

    def stack() -> Any:
        return hk.DeepRNN([hk.LSTM(layer.hidden_size) for layer in config.layers])

    def unroll(xs: jax.Array, resets: Any) -> Any:
        core, inputs = stack(), xs
        if resets is not None:
            core, inputs = hk.ResetCore(core), (xs, resets)
        return hk.dynamic_unroll(core, inputs, core.initial_state(batch))[0]

    whole = hk.without_apply_rng(hk.transform(unroll))
    single = hk.without_apply_rng(hk.transform(lambda x, state: stack()(x, state)))
    begin = hk.without_apply_rng(hk.transform(lambda: stack().initial_state(batch)))

    def weights(layers: tuple[LayerWeights, ...]) -> Any:
        own = {}
        for n, layer in enumerate(layers):
            (w_x,), (w_h,), (b,) = layer
            i, f, g, o = jnp.split(jnp.concatenate([w_x, w_h]), 4, -1)
            b_i, b_f, b_g, b_o = jnp.split(b, 4)
            # Haiku's gate order is i, g, f, o, and its cell adds 1 to f.
            own[f"lstm_{n}/linear" if n else "lstm/linear"] = {
                "w": jnp.concatenate([i, g, f, o], -1),
                "b": jnp.concatenate([b_i, b_g, b_f - 1, b_o]),
            }
        return own

    def forward(own: Any, xs: jax.Array, lengths: None, resets: Any) -> jax.Array:
        return whole.apply(own, xs, resets)

    def step(own: Any, carry: Any, x: jax.Array) -> Any:
        y, carry = single.apply(own, x, carry)
        return carry, y

    return jax_program.prepare(problem, mode, weights, forward, step, begin.apply({}))
