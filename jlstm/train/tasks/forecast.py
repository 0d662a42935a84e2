"""The next values of series."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp

from jlstm import validation
from jlstm.config import Config
from jlstm.network.step import step_of_sequence
from jlstm.randomness import Keys
from jlstm.train import model as models
from jlstm.train.model import Batch, Model
from jlstm.train.tasks.task import Carries, Sums, sequence_weights, weighted, widened

STRATEGIES = ("direct", "rollout")


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Predicts the next values of series from their past.

    Targets are [N, horizon, values]. Predictions are [N, horizon, values, outputs], with one output
    for each quantile, or one that is the mean. The loss is the pinball loss of quantiles (Koenker &
    Bassett 1978), or the mean squared error. Metrics: loss, mae and mse of the median or the mean.

    Attributes:
      horizon: the number of steps to predict.
      values: the number of values at each step.
      quantiles: the quantiles to predict, increasing, such as (0.1, 0.5, 0.9). Empty: the mean.
      strategy: "direct", all steps from the output at the last step of the past; or "rollout", one
        step at a time, each from the prediction before it, in training too, so that no true value
        of the future is seen. Inputs of a roll-out are the predicted values and nothing else, and
        the network has one direction. Of quantiles, it goes on from the median.
      relative: predict the change from the last value of the past. The first `values` inputs must
        be the values to predict, normalised alike.

    >>> task, config = Forecast(horizon=12, quantiles=(0.1, 0.5, 0.9)), Config.stack(2, [8])
    >>> model = task.new(jax.random.key(0), config)
    >>> batch = Batch(jnp.ones((3, 40, 2)), jnp.ones((3, 12, 1)))
    >>> task.predict(config, model, batch)[1].shape
    (3, 12, 1, 3)
    """

    horizon: int
    values: int = 1
    quantiles: tuple[float, ...] = ()
    strategy: str = "direct"
    relative: bool = False

    def __post_init__(self) -> None:
        validation.size("horizon", self.horizon)
        validation.size("values", self.values)
        validation.known_name("strategy", self.strategy, STRATEGIES)
        validation.boolean("relative", self.relative)
        if not isinstance(self.quantiles, (list, tuple)):
            raise TypeError(f"quantiles is {self.quantiles!r}; expected a list such as [0.1, 0.5]")
        quantiles = tuple(
            validation.number("a quantile", q, above=0.0, below=1.0) for q in self.quantiles
        )
        if any(a >= b for a, b in itertools.pairwise(quantiles)):
            raise ValueError(f"quantiles are {list(quantiles)}; expected increasing numbers")
        if self.strategy == "rollout" and quantiles and 0.5 not in quantiles:
            raise ValueError(
                f"quantiles are {list(quantiles)}, but a roll-out goes on from the median; add 0.5 "
                'to them, or use strategy = "direct"'
            )
        object.__setattr__(self, "quantiles", quantiles)

    @property
    def outputs(self) -> int:
        """The number of outputs for each predicted value."""
        return max(1, len(self.quantiles))

    @property
    def middle(self) -> int:
        """The output that stands for the forecast: the quantile nearest to the median."""
        distances = [abs(q - 0.5) for q in self.quantiles] or [0.0]
        return distances.index(min(distances))

    def new(self, key: jax.Array, config: Config) -> Model:
        """A model with random parameters."""
        if self.relative and config.input_size < self.values:
            raise ValueError(
                f"relative forecasts of {self.values} values need these among the inputs, but "
                f"there are {config.input_size} inputs; set relative = false"
            )
        if self.strategy == "direct":
            models.require_seen(config, "last")
            return models.new(key, config, self.horizon * self.values * self.outputs)
        if config.input_size != self.values:
            raise ValueError(
                f"a roll-out feeds predictions back as inputs, so it needs {self.values} inputs, "
                f"the predicted values; the network has {config.input_size}; use only these as "
                'inputs, or strategy = "direct"'
            )
        if any(layer.bidirectional or layer.reverse for layer in config.layers):
            raise ValueError(
                "a roll-out goes forward one step at a time, but a layer runs in reverse; make "
                'all layers run forward, or use strategy = "direct"'
            )
        return models.new(key, config, self.values * self.outputs)

    def predict(
        self,
        config: Config,
        model: Model,
        batch: Batch,
        carry: Carries | None = None,
        key: jax.Array | None = None,
    ) -> tuple[Carries, jax.Array]:
        """The carry after the past, and forecasts [N, horizon, values, outputs]."""
        carry, ys = models.outputs(config, model, batch, carry, key)
        last = models.pooled(model, ys, batch.lengths, "last")
        before = models.pooled(model, jnp.asarray(batch.xs), batch.lengths, "last")
        before = before[:, : self.values, None]  # [N, values, 1]
        scores = models.scores(model, last)
        if self.strategy == "direct":
            made = scores.reshape(len(scores), self.horizon, self.values, self.outputs)
            return carry, made + before[:, None] if self.relative else made

        def one(scores: jax.Array, before: jax.Array) -> jax.Array:
            made = scores.reshape(len(scores), self.values, self.outputs)
            return made + before if self.relative else made

        def advance(rolled: tuple, keys: Keys | None) -> tuple:
            carry, made = rolled
            middle = made[..., self.middle]
            x = middle.astype(config.dtype)
            carry, y = step_of_sequence(config, model.network, carry, x, keys)
            made = one(models.scores(model, y), middle[..., None])
            return (carry, made), made

        first = one(scores, before)
        rolled = self.horizon - 1
        keys = None
        if key is not None:
            # The past and the roll-out are one sequence, with the masks that `apply` would draw.
            past = batch.xs.shape[1]
            each = jax.random.split(key, past + rolled)[past:]
            keys = Keys(each, jnp.broadcast_to(key, each.shape))
        _, later = jax.lax.scan(advance, (carry, first), keys, length=rolled)
        return carry, jnp.concatenate([first[None], later]).swapaxes(0, 1)

    def measure(self, predictions: jax.Array, batch: Batch) -> Sums:
        """Sums of errors, each a mean over the values and the steps of the horizon."""
        weights = sequence_weights(batch)
        predictions, targets = widened(predictions), jnp.asarray(batch.targets)
        error = targets - predictions[..., self.middle]
        squared, absolute = jnp.square(error).mean((1, 2)), jnp.abs(error).mean((1, 2))
        loss = squared
        if self.quantiles:
            below = targets[..., None] - predictions
            q = jnp.asarray(self.quantiles, predictions.dtype)
            loss = jnp.maximum(q * below, (q - 1) * below).mean((1, 2, 3))
        sums = {"loss": loss, "mae": absolute, "mse": squared}
        return {name: weighted(value, weights) for name, value in sums.items()}
