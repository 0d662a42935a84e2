"""jax.experimental.rnn, which calls cuDNN."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import rnn

from jlstm.bench.peers import Program, UnsupportedError, jax_program, plain
from jlstm.bench.problem import LayerWeights, Problem


def requirement() -> str:
    """What this machine lacks; "" if nothing."""
    return "" if jax.default_backend() == "gpu" else "needs an NVIDIA GPU and jax[cuda]"


def flat(layers: tuple[LayerWeights, ...]) -> jax.Array:
    """cuDNN's weight vector: the matrices by layer and direction, then the biases.

    The gate order is i, f, g, o. The second of its two biases is zero.
    """
    matrices, biases = [], []
    for layer in layers:
        for w_x, w_h, b in zip(*layer, strict=True):
            matrices += [w_x.T.ravel(), w_h.T.ravel()]
            biases += [b, jnp.zeros_like(b)]
    return jnp.concatenate([*matrices, *biases])


def prepare(problem: Problem, mode: str) -> Program:
    """One cuDNN call runs all layers."""
    if reason := requirement():
        raise UnsupportedError(reason)
    plain.require(problem, resets=False, dtypes=("float32",))
    config, batch, steps = problem.case.config, problem.case.shape.batch_size, len(problem.xs)
    first = config.layers[0]
    if any(layer != first for layer in config.layers):
        raise UnsupportedError("it needs layers of equal size")
    directions = 2 if first.bidirectional else 1
    zeros = jnp.zeros((len(config.layers) * directions, batch, first.hidden_size))
    full = jnp.full((batch,), steps, "int32")

    def forward(own: jax.Array, xs: jax.Array, lengths: Any, resets: None) -> jax.Array:
        found: Any = rnn.lstm(
            xs,
            zeros,
            zeros,
            own,
            full if lengths is None else lengths,
            config.input_size,
            first.hidden_size,
            len(config.layers),
            0.0,
            first.bidirectional,
        )
        return plain.zero_padding(found[0].swapaxes(0, 1), lengths).swapaxes(0, 1)

    return jax_program.prepare(problem, mode, flat, forward, time_major=False)
