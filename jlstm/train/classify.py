"""Classification of whole sequences: a network with a linear readout of its last output."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jlstm.config import Config
from jlstm.network import readout
from jlstm.network.stack import apply
from jlstm.params import Params, init


class Model(NamedTuple):
    """All trained parameters.

    Attributes:
      network: parameters of the stack.
      w: readout weights [P, classes].
      b: readout bias [classes].
    """

    network: Params
    w: jax.Array
    b: jax.Array


def new(key: jax.Array, config: Config, classes: int) -> Model:
    """A model with random parameters."""
    k_network, k_w = jax.random.split(key)
    w = jax.nn.initializers.glorot_uniform()(k_w, (config.output_size, classes))
    return Model(init(k_network, config), w, jnp.zeros(classes))


def logits(config: Config, model: Model, xs: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Scores [N, classes] of sequences xs [N, T, I], from the output at the last step."""
    _, ys = apply(config, model.network, None, xs, key=key, time_major=False)
    return readout.scores(model.w, model.b, ys[:, -1])


def loss(
    config: Config, model: Model, xs: jax.Array, labels: jax.Array, key: jax.Array | None
) -> jax.Array:
    """Mean cross-entropy in nats."""
    scores = logits(config, model, xs, key)
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


def accuracy(config: Config, model: Model, xs: jax.Array, labels: jax.Array) -> jax.Array:
    """The fraction of sequences whose label has the highest score."""
    return (logits(config, model, xs).argmax(-1) == labels).mean()
