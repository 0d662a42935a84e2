"""A sequence of classes that is not aligned with the steps of its inputs."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
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
    step_weights,
    weighted,
    widened,
)


@dataclasses.dataclass(frozen=True)
class Ctc:
    """Predicts classes in their order, by connectionist temporal classification (Graves 2006).

    Targets are classes [N, L], padded with -1. Predictions are scores [N, T, 1 + classes], of which
    number 0 is the blank and number 1 + n is class n. Metrics: loss (nats a sequence), error_rate
    (edits between the best path's classes and the targets, for each target).

    The loss of a sequence that is too short for its targets is infinite, as in torch, because no
    path spells them. Its gradient is zero.

    Attributes:
      classes: the number of classes, without the blank.
      vocabulary: the number of input tokens. None: inputs are numbers.

    >>> task, config = Ctc(5), Config.stack(6, [4], bidirectional=True)
    >>> model = task.new(jax.random.key(0), config)
    >>> batch = Batch(jnp.ones((2, 9, 6)), jnp.array([[0, 3, -1], [1, 1, 4]]))
    >>> _, scores = task.predict(config, model, batch)
    >>> scores.shape, sorted(task.measure(scores, batch))
    ((2, 9, 6), ['error_rate', 'loss'])
    """

    classes: int
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        validation.size("classes", self.classes)
        if self.vocabulary is not None:
            validation.size("vocabulary", self.vocabulary)

    def new(self, key: jax.Array, config: Config) -> Model:
        """A model with random parameters."""
        return models.new(key, config, 1 + self.classes, vocabulary=self.vocabulary)

    def predict(
        self,
        config: Config,
        model: Model,
        batch: Batch,
        carry: Carries | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Carries, jax.Array]:
        """The carry, and scores [N, T, 1 + classes]."""
        carry, ys = models.outputs(config, model, batch, carry, key)
        return carry, models.scores(model, ys)

    def measure(self, predictions: jax.Array, batch: Batch) -> Sums:
        """Sums of losses over sequences, and of edits over targets."""
        labels = require_labels("targets", batch.targets) + 1  # 0 is padding and the blank
        weights, valid = sequence_weights(batch), step_weights(batch._replace(weights=None))
        padding = (labels == 0).astype("float32")
        predictions = widened(predictions)
        loss = optax.ctc_loss(predictions, 1 - valid, labels, padding, blank_id=0)
        # optax gives it about 1e5, which would pass for a loss and outweigh all others.
        loss = jnp.where(valid.sum(1) < steps_needed(labels - 1), jnp.inf, loss)
        edits = jax.vmap(edit_distance)(collapsed(predictions, valid), labels)
        return {
            "loss": weighted(loss, weights),
            "error_rate": (
                jnp.where(weights > 0, weights * edits, 0.0).sum(),
                (weights * (1 - padding).sum(1)).sum(),
            ),
        }


def steps_needed(targets: Any) -> Any:
    """The fewest steps that spell targets [..., L], padded with -1, as whole numbers [...].

    Each class takes a step. Between two that are equal, a blank takes one more.

    >>> int(steps_needed(jnp.array([4, 4, 2, -1])))
    4
    """
    counts = targets >= 0
    repeated = counts[..., 1:] & (targets[..., 1:] == targets[..., :-1])
    return counts.sum(-1) + repeated.sum(-1)


def collapsed(scores: jax.Array, valid: jax.Array) -> jax.Array:
    """The classes of the best path, int [N, T]: 1 + n for class n, then zeros.

    Args:
      scores: [N, T, 1 + classes].
      valid: 1 for steps within the lengths [N, T].
    """
    best = jnp.where(valid > 0, scores.argmax(-1), 0)
    before = jnp.pad(best, ((0, 0), (1, 0)))[:, :-1]
    kept = (best != 0) & (best != before)
    order = jnp.argsort(~kept, axis=1, stable=True)
    return jnp.take_along_axis(jnp.where(kept, best, 0), order, axis=1)


def edit_distance(found: jax.Array, wanted: jax.Array) -> jax.Array:
    """The fewest insertions, deletions and substitutions between two sequences (Levenshtein 1966).

    Args:
      found, wanted: positive numbers [T] and [L], then zeros, which do not count.

    >>> int(edit_distance(jnp.array([1, 2, 3, 0]), jnp.array([1, 3, 0])))
    1
    """
    size = (wanted > 0).sum()
    columns = jnp.arange(len(wanted) + 1)

    def row(above: jax.Array, symbol: jax.Array) -> tuple[jax.Array, None]:
        replaced = above[:-1] + (wanted != symbol)
        best = jnp.minimum(above + 1, jnp.pad(replaced, (1, 0), constant_values=len(columns) * 2))
        best = best.at[0].set(above[0] + 1)
        # Insertions run along the row: the least of best[k] + (j - k) over k <= j.
        best = jax.lax.associative_scan(jnp.minimum, best - columns) + columns
        return jnp.where(symbol > 0, best, above), None

    last, _ = jax.lax.scan(row, columns, found)
    return last[size]
