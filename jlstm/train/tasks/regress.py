"""Numbers for each sequence."""

import dataclasses

import jax
import jax.numpy as jnp

from jlstm import validation
from jlstm.config import Config
from jlstm.train import model as models
from jlstm.train.model import Batch, Model
from jlstm.train.tasks.task import Carries, Sums, sequence_weights, weighted, widened


@dataclasses.dataclass(frozen=True)
class Regress:
    """Predicts numbers for each sequence. The loss is the mean squared error.

    Targets and predictions are [N, values]. Metrics: loss, mae (mean absolute error).

    Attributes:
      values: the number of values.
      readout: what the head reads: "last", the output at each sequence's last step; "mean", over
        its steps; "attention", a learned mean.
      vocabulary: the number of input tokens. None: inputs are numbers.

    >>> task, config = Regress(2), Config.stack(6, [4])
    >>> model = task.new(jax.random.key(0), config)
    >>> task.predict(config, model, Batch(jnp.ones((3, 7, 6)), jnp.zeros((3, 2))))[1].shape
    (3, 2)
    """

    values: int = 1
    readout: str = "last"
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        validation.size("values", self.values)
        validation.known_name("readout", self.readout, models.READOUTS)
        if self.vocabulary is not None:
            validation.size("vocabulary", self.vocabulary)

    def new(self, key: jax.Array, config: Config) -> Model:
        """A model with random parameters."""
        models.require_seen(config, self.readout)
        attention = self.readout == "attention"
        return models.new(key, config, self.values, vocabulary=self.vocabulary, attention=attention)

    def predict(
        self,
        config: Config,
        model: Model,
        batch: Batch,
        carry: Carries | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Carries, jax.Array]:
        """The carry, and the predicted values [N, values]."""
        carry, ys = models.outputs(config, model, batch, carry, key)
        return carry, models.scores(model, models.pooled(model, ys, batch.lengths, self.readout))

    def measure(self, predictions: jax.Array, batch: Batch) -> Sums:
        """Sums of squared and of absolute errors, each a mean over the values."""
        weights = sequence_weights(batch)
        error = widened(predictions) - jnp.asarray(batch.targets)
        return {
            "loss": weighted(jnp.square(error).mean(-1), weights),
            "mae": weighted(jnp.abs(error).mean(-1), weights),
        }
