"""A Flax model with an LSTM inside, in linen: it reads scikit-learn's digits row by row.

`LSTM(64)` replaces `nn.RNN(nn.OptimizedLSTMCell(64))`. Weight decay applies to matrices alone. A
mask selects them by the names of the parameters.

    python examples/linen_classifier.py --steps 600
"""

import argparse

import jax
import numpy as np
import optax
from flax import linen as nn
from flax.traverse_util import path_aware_map

from jlstm.modules.linen import LSTM
from jlstm.train.data import batches, sources

DATA = {"source": "digits"}


class Classifier(nn.Module):
    """Classes of sequences [N, T, I], from the last hidden state."""

    hidden_size: int = 64

    @nn.compact
    def __call__(self, xs: jax.Array, training: bool = False) -> jax.Array:
        """Scores [N, 10]."""
        (_, h), _ = LSTM(self.hidden_size)(xs, return_carry=True)
        h = nn.Dropout(0.2, deterministic=not training)(h)
        return nn.Dense(10)(h)


def is_matrix(path: tuple[str, ...], _: jax.Array) -> bool:
    """Whether a parameter decays: w_x and w_h of the LSTM, the kernel of the readout."""
    return path[-1] in ("w_x", "w_h", "kernel")


def main(steps: int = 600) -> float:
    """Trains, and returns the accuracy on the test part."""
    data, model = sources.load(DATA), Classifier()
    params = model.init(jax.random.key(0), data.train.xs[:1])["params"]
    rate = optax.cosine_decay_schedule(5e-3, steps)
    decayed = path_aware_map(is_matrix, params)
    optimizer = optax.adamw(rate, weight_decay=1e-3, mask=decayed)
    state = optimizer.init(params)

    def loss_of(params, batch, key):
        scores = model.apply({"params": params}, batch.xs, training=True, rngs={"dropout": key})
        losses = optax.softmax_cross_entropy_with_integer_labels(scores, batch.targets)
        return losses.mean()

    @jax.jit
    def train_step(params, state, batch, key):
        loss, gradients = jax.value_and_grad(loss_of)(params, batch, key)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, loss

    for number, batch in zip(range(1, steps + 1), batches.training(data.train, 64), strict=False):
        key = jax.random.fold_in(jax.random.key(1), number)
        params, state, loss = train_step(params, state, batch, key)
        if number % 100 == 0:
            print(f"step {number}: loss {loss:.4f}")
    scores = model.apply({"params": params}, data.test.xs)
    accuracy = float(np.mean(scores.argmax(-1) == data.test.targets))
    print(f"{accuracy:.1%} of the test digits are right")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    main(**vars(parser.parse_args()))
