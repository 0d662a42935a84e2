"""What every task offers, and sums that several tasks take."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jlstm.config import Config
from jlstm.dtypes import state_dtype
from jlstm.masking import within
from jlstm.params import Carry
from jlstm.train.model import Batch, Model

Carries = tuple[Carry, ...]
# By name: a sum over what counts, and the weight of what counts. One is "loss". Sums of
# batches and of devices add up, and the metric is the quotient.
Sums = dict[str, tuple[jax.Array, jax.Array]]


class Task(Protocol):
    """A task, as data: a frozen dataclass of its sizes with these functions."""

    def new(self, key: jax.Array, config: Config) -> Model:
        """A model with random parameters."""
        ...

    def predict(
        self,
        config: Config,
        model: Model,
        batch: Batch,
        carry: Carries | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Carries, jax.Array]:
        """The carry after a batch, and the predictions, one row a sequence."""
        ...

    def measure(self, predictions: jax.Array, batch: Batch) -> Sums:
        """The sums of loss and metrics over a batch."""
        ...


def sequence_weights(batch: Batch) -> jax.Array:
    """The weight of each sequence [N] in float32."""
    if batch.weights is None:
        return jnp.ones(len(batch.xs), "float32")
    return jnp.asarray(batch.weights, "float32")


def step_weights(batch: Batch) -> jax.Array:
    """The weight of each step [N, T] in float32: 0 beyond a sequence's length."""
    n, steps = batch.xs.shape[:2]
    weights = sequence_weights(batch)[:, None] * jnp.ones((n, steps), "float32")
    if batch.lengths is None:
        return weights
    return weights * within(jnp.asarray(batch.lengths), steps).T


def widened(predictions: Any) -> jax.Array:
    """Predictions in the dtype that losses and metrics are computed in: float32, or float64.

    The eight bits of bfloat16 would round away most of a softmax over many classes.
    """
    predictions = jnp.asarray(predictions)
    return predictions.astype(state_dtype(predictions.dtype))


def weighted(values: Any, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sum of values that count, and the sum of their weights.

    A value of weight 0 does not count, even if it is NaN. The sums are float32, or float64 if the
    values are.
    """
    values = widened(values)
    return jnp.where(weights > 0, values * weights, 0.0).sum(), weights.sum()


def require_labels(what: str, targets: Any) -> jax.Array:
    """Labels as an array. TypeError if they are not whole numbers."""
    targets = jnp.asarray(targets)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(f"{what} are {targets.dtype}; expected classes as whole numbers")
    return targets
