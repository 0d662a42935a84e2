"""One class for each step."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from jlstm import validation
from jlstm.config import Config
from jlstm.train import model as models
from jlstm.train.model import Batch, Model
from jlstm.train.tasks.task import Carries, Sums, require_labels, step_weights, weighted, widened


@dataclasses.dataclass(frozen=True)
class Label:
    """Chooses one of several classes for each step. The loss is cross-entropy in nats a step.

    Targets are classes [N, T]; steps of a negative class and steps beyond a sequence's length do
    not count. Predictions are scores [N, T, classes]. Metrics: loss, accuracy.

    Attributes:
      classes: the number of classes.
      vocabulary: the number of input tokens. None: inputs are numbers.

    >>> task, config = Label(3), Config.stack(6, [4], bidirectional=True)
    >>> model = task.new(jax.random.key(0), config)
    >>> batch = Batch(jnp.ones((2, 5, 6)), jnp.zeros((2, 5), int), lengths=jnp.array([5, 2]))
    >>> _, scores = task.predict(config, model, batch)
    >>> scores.shape, float(task.measure(scores, batch)["accuracy"][1])
    ((2, 5, 3), 7.0)
    """

    classes: int
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        validation.size("classes", self.classes)
        if self.vocabulary is not None:
            validation.size("vocabulary", self.vocabulary)

    def new(self, key: jax.Array, config: Config) -> Model:
        """A model with random parameters."""
        return models.new(key, config, self.classes, vocabulary=self.vocabulary)

    def predict(
        self,
        config: Config,
        model: Model,
        batch: Batch,
        carry: Carries | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Carries, jax.Array]:
        """The carry, and scores [N, T, classes]."""
        carry, ys = models.outputs(config, model, batch, carry, key)
        return carry, models.scores(model, ys)

    def measure(self, predictions: jax.Array, batch: Batch) -> Sums:
        """Sums of cross-entropy and of right answers over the steps that count."""
        predictions = widened(predictions)
        labels = require_labels("targets", batch.targets)
        weights = jnp.where(labels >= 0, step_weights(batch), 0.0)
        loss = optax.softmax_cross_entropy_with_integer_labels(predictions, jnp.maximum(labels, 0))
        right = predictions.argmax(-1) == labels
        return {"loss": weighted(loss, weights), "accuracy": weighted(right, weights)}
