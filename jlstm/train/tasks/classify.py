"""One class for each sequence."""

import dataclasses

import jax
import optax

from jlstm import validation
from jlstm.config import Config
from jlstm.train import model as models
from jlstm.train.model import Batch, Model
from jlstm.train.tasks.task import (
    Carries,
    Sums,
    require_labels,
    sequence_weights,
    weighted,
    widened,
)


@dataclasses.dataclass(frozen=True)
class Classify:
    """Chooses one of several classes for each sequence. The loss is cross-entropy in nats.

    Targets are classes [N]. Predictions are scores [N, classes]. Metrics: loss, accuracy.

    Attributes:
      classes: the number of classes.
      readout: what the head reads: "last", the output at each sequence's last step; "mean", over
        its steps; "attention", a learned mean.
      vocabulary: the number of input tokens. None: inputs are numbers.

    >>> import jax.numpy as jnp
    >>> task, config = Classify(10), Config.stack(6, [4])
    >>> model = task.new(jax.random.key(0), config)
    >>> batch = Batch(jnp.ones((3, 7, 6)), jnp.array([1, 2, 3]))
    >>> _, scores = task.predict(config, model, batch)
    >>> scores.shape, sorted(task.measure(scores, batch))
    ((3, 10), ['accuracy', 'loss'])
    """

    classes: int
    readout: str = "last"
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        validation.size("classes", self.classes)
        validation.known_name("readout", self.readout, models.READOUTS)
        if self.vocabulary is not None:
            validation.size("vocabulary", self.vocabulary)

    def new(self, key: jax.Array, config: Config) -> Model:
        """A model with random parameters."""
        models.require_seen(config, self.readout)
        attention = self.readout == "attention"
        return models.new(
            key, config, self.classes, vocabulary=self.vocabulary, attention=attention
        )

    def predict(
        self,
        config: Config,
        model: Model,
        batch: Batch,
        carry: Carries | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Carries, jax.Array]:
        """The carry, and scores [N, classes]."""
        carry, ys = models.outputs(config, model, batch, carry, key)
        return carry, models.scores(model, models.pooled(model, ys, batch.lengths, self.readout))

    def measure(self, predictions: jax.Array, batch: Batch) -> Sums:
        """Sums of cross-entropy and of right answers."""
        predictions = widened(predictions)
        labels, weights = require_labels("targets", batch.targets), sequence_weights(batch)
        loss = optax.softmax_cross_entropy_with_integer_labels(predictions, labels)
        right = predictions.argmax(-1) == labels
        return {"loss": weighted(loss, weights), "accuracy": weighted(right, weights)}
