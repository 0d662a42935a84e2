"""The next token of a text."""

import dataclasses
import math

import jax
import optax

from jlstm import validation
from jlstm.config import Config
from jlstm.train import model as models
from jlstm.train.model import Batch, Model
from jlstm.train.tasks.task import Carries, Sums, require_labels, step_weights, weighted, widened


@dataclasses.dataclass(frozen=True)
class Language:
    """Predicts each token of a text from those before it. The loss is cross-entropy in nats.

    Inputs are tokens [N, T]; targets are the tokens that follow them [N, T]. Predictions are scores
    [N, T, vocabulary]. Metrics: loss, bits (of cross-entropy a token), accuracy.

    Attributes:
      vocabulary: the number of tokens.
      tied: whether the head uses the embedding's weights (Press & Wolf 2017, arXiv 1608.05859).

    >>> import jax.numpy as jnp
    >>> task, config = Language(vocabulary=27), Config.stack(16, [32])
    >>> model = task.new(jax.random.key(0), config)
    >>> batch = Batch(jnp.zeros((2, 9), int), jnp.zeros((2, 9), int))
    >>> task.predict(config, model, batch)[1].shape
    (2, 9, 27)
    """

    vocabulary: int
    tied: bool = False

    def __post_init__(self) -> None:
        validation.size("vocabulary", self.vocabulary)
        validation.boolean("tied", self.tied)

    def new(self, key: jax.Array, config: Config) -> Model:
        """A model with random parameters."""
        if any(layer.bidirectional or layer.reverse for layer in config.layers):
            raise ValueError(
                "a layer that runs in reverse has seen the token that is to be predicted; make all "
                "layers run forward"
            )
        return models.new(key, config, self.vocabulary, vocabulary=self.vocabulary, tied=self.tied)

    def predict(
        self,
        config: Config,
        model: Model,
        batch: Batch,
        carry: Carries | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Carries, jax.Array]:
        """The carry, and scores [N, T, vocabulary]."""
        carry, ys = models.outputs(config, model, batch, carry, key)
        return carry, models.scores(model, ys)

    def measure(self, predictions: jax.Array, batch: Batch) -> Sums:
        """Sums over the tokens within the lengths."""
        predictions = widened(predictions)
        tokens, weights = require_labels("targets", batch.targets), step_weights(batch)
        loss = optax.softmax_cross_entropy_with_integer_labels(predictions, tokens)
        right = predictions.argmax(-1) == tokens
        return {
            "loss": weighted(loss, weights),
            "bits": weighted(loss / math.log(2), weights),
            "accuracy": weighted(right, weights),
        }
