"""A Flax model with an LSTM inside, in nnx: it tells after each bracket whether all are closed.

With `seq_lengths`, padding has no effect. At the end, `jlstm.step` reads one bracket at a time.

    python examples/nnx_tagger.py --steps 600
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jlstm
from jlstm.modules.nnx import LSTM, network

LONGEST, HIDDEN = 40, 32


class Tagger(nnx.Module):
    """Scores [N, T] that all brackets of [N, T, 1] are closed, for texts of some lengths."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.lstm = LSTM(1, HIDDEN, rngs=rngs)
        self.head = nnx.Linear(HIDDEN, 1, rngs=rngs)

    def __call__(self, xs: jax.Array, lengths: jax.Array) -> jax.Array:
        """Scores [N, T]."""
        return self.head(self.lstm(xs, seq_lengths=lengths))[..., 0]


def brackets(random: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
    """Texts [N, T, 1] of 1 for ( and -1 for ), whether all are closed [N, T], and lengths [N]."""
    xs = np.zeros((count, LONGEST), "float32")
    for n in range(LONGEST):
        depth = xs.sum(1)
        opens = (depth == 0) | ((depth < 9) & (random.random(count) < 0.5))
        xs[:, n] = np.where(opens, 1, -1)
    return xs[..., None], xs.cumsum(1) == 0, random.integers(2, LONGEST + 1, count)


def main(steps: int = 600) -> float:
    """Trains, and returns the fraction of right tags of new texts."""
    random, model = np.random.default_rng(0), Tagger(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(5e-3), wrt=nnx.Param)

    @nnx.jit
    def train_step(model, optimizer, xs, closed, lengths):
        def loss_of(model):
            losses = optax.sigmoid_binary_cross_entropy(model(xs, lengths), closed)
            return losses.mean(where=jnp.arange(LONGEST) < lengths[:, None])

        loss, gradients = nnx.value_and_grad(loss_of)(model)
        optimizer.update(model, gradients)
        return loss

    for number in range(1, steps + 1):
        loss = train_step(model, optimizer, *brackets(random, 32))
        if number % 100 == 0:
            print(f"step {number}: loss {loss:.4f}")
    xs, closed, lengths = brackets(random, 256)
    right = (model(xs, lengths) > 0) == closed
    share = float(right.mean(where=jnp.arange(LONGEST) < lengths[:, None]))
    print(f"{share:.1%} of the tags are right")

    config, params = network(model.lstm)
    carry = None
    for bracket in "(()())":
        carry, h = jlstm.step(config, params, carry, jnp.array([1.0 if bracket == "(" else -1.0]))
        print(bracket, "closed" if model.head(h)[0] > 0 else "open")
    return share


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    main(**vars(parser.parse_args()))
