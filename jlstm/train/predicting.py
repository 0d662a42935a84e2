"""Predictions of a trained model, and how far forecasts are off in the units of the data."""

import jax
import jax.numpy as jnp
import numpy as np

from jlstm import validation
from jlstm.train import naive
from jlstm.train.data import batches
from jlstm.train.data.split import Meaning, Split
from jlstm.train.model import Batch
from jlstm.train.tasks.forecast import Forecast
from jlstm.train.trained import Trained


def predicted(
    found: Trained, xs: np.ndarray, lengths: np.ndarray | None = None, *, batch_size: int = 64
) -> np.ndarray:
    """What a model predicts, by its task: scores of classes, values or forecasts, normalised.

    Quantiles of a forecast are put in order where the outputs of the network are not, which makes
    none worse (Chernozhukov et al. 2010, arXiv 0704.3649).

    Args:
      found: the model.
      xs: sequences float32 [N, T, features], normalised as the model's data, or tokens int32
        [N, T].
      lengths: int32 [N]. None: all have T steps.
      batch_size: sequences that are read together.

    Returns:
      float32 [N, ...]. The axes behind the first are those of the task's predictions. Values are
      normalised: in the units of the data they are values * target_scale + target_mean, with the
      fields of `found.meaning`, for each value.

    Raises:
      TypeError, ValueError: xs do not fit the model.

    >>> from jlstm.config import Config
    >>> from jlstm.train.data import sources
    >>> from jlstm.train.tasks.forecast import Forecast
    >>> table = {"source": "noisy_sines", "steps": 9, "horizon": 2, "train": 4, "test": 4}
    >>> data = sources.load(table)
    >>> config, task = Config.stack(1, [4]), Forecast(horizon=2)
    >>> model = task.new(jax.random.key(0), config)
    >>> trained = Trained(config, task, model, data.meaning, table, None)
    >>> predicted(trained, data.test.xs[:3]).shape
    (3, 2, 1, 1)
    """
    _require_fitting(found, xs)

    ordered = isinstance(found.task, Forecast) and bool(found.task.quantiles)

    @jax.jit
    def one(batch: Batch) -> jax.Array:
        made = found.task.predict(found.config, found.model, batch)[1].astype("float32")
        return jnp.sort(made, axis=-1) if ordered else made

    split = Split(xs, np.zeros(len(xs), "int32"), lengths)
    made = [np.asarray(one(batch)) for batch in batches.evaluation(split, batch_size)]
    if not made:
        raise ValueError("there are no sequences to predict from")
    return np.concatenate(made)[: len(xs)]


def _require_fitting(found: Trained, xs: np.ndarray) -> None:
    if found.model.embedding is None:
        size = found.config.input_size
        if xs.ndim != 3 or xs.shape[2] != size:
            raise ValueError(
                f"the sequences have the shape {list(xs.shape)}; the model reads [N, T, {size}]"
            )
        return
    known = len(found.model.embedding)
    if xs.ndim != 2 or not np.issubdtype(xs.dtype, np.integer):
        raise ValueError(
            f"the sequences are {xs.dtype}{list(xs.shape)}; the model reads tokens, whole numbers "
            "[N, T]"
        )
    if xs.size and not 0 <= xs.min() <= xs.max() < known:
        raise ValueError(
            f"the sequences hold tokens from {xs.min()} to {xs.max()}; the model knows 0 to "
            f"{known - 1}"
        )


Errors = dict[str, dict[str, float]]


def forecast_errors(
    found: Trained, split: Split, *, season: int | None = None
) -> dict[str, Errors]:
    """The errors of forecasts in the units of the data, beside those of naive forecasts.

    Args:
      found: a model whose task is Forecast.
      split: the sequences, with targets.
      season: the steps of a season, such as 24 for hourly values with a daily cycle.

    Returns:
      For each forecast value by name: "model", "persistence" and, with `season`, "seasonal", each
      with "mae" and "rmse". Persistence forecasts the last value of the past for all steps. The
      seasonal forecast repeats the last season of the past. Both are left out for a value that is
      not among the inputs. Quantiles are those of `predicted`, which puts them in order.

    Raises:
      TypeError, ValueError: the split does not fit the model, a season is longer than the past, or
        the inputs have no past to repeat.

    >>> from jlstm.config import Config
    >>> from jlstm.train.data import sources
    >>> from jlstm.train.tasks.forecast import Forecast
    >>> table = {"source": "noisy_sines", "steps": 9, "horizon": 2, "train": 4, "test": 4}
    >>> data = sources.load(table)
    >>> config, task = Config.stack(1, [4]), Forecast(horizon=2)
    >>> model = task.new(jax.random.key(0), config)
    >>> trained = Trained(config, task, model, data.meaning, table, None)
    >>> sorted(forecast_errors(trained, data.test)["value"]["model"])
    ['mae', 'rmse']
    """
    task, meaning = found.task, found.meaning
    assert isinstance(task, Forecast)
    naive_forecasts = {"persistence": 1}
    if season is not None:
        naive_forecasts["seasonal"] = validation.positive_int("season", season)
    columns = [_column(meaning, task, n) for n in range(task.values)]
    if season is not None and all(column is None for column in columns):
        raise ValueError(
            f"season is {season}, but the inputs do not hold the past of a forecast value; leave "
            "it out"
        )
    made = predicted(found, split.xs, split.lengths)[..., task.middle]
    found_errors = {}
    for n, (name, column) in enumerate(zip(_names(meaning, task), columns, strict=True)):
        scale = meaning.target_scale[n] if meaning.target_scale else 1.0
        mean = meaning.target_mean[n] if meaning.target_mean else 0.0
        wanted = np.asarray(split.targets[..., n], "float64")
        errors = {"model": _errors((made[..., n] - wanted) * scale)}
        for whose, steps in naive_forecasts.items():
            if column is None:
                break
            past = naive.repeated(split, column, task.horizon, steps)
            if meaning.input_scale:
                past = past * meaning.input_scale[column] + meaning.input_mean[column]
            errors[whose] = _errors(past - (wanted * scale + mean))
        found_errors[name] = errors
    return found_errors


def _errors(error: np.ndarray) -> dict[str, float]:
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(np.square(error).mean())),
    }


def _names(meaning: Meaning, task: Forecast) -> tuple[str, ...]:
    if len(meaning.targets) == task.values:
        return meaning.targets
    return ("value",) if task.values == 1 else tuple(f"value {n}" for n in range(task.values))


def _column(meaning: Meaning, task: Forecast, n: int) -> int | None:
    """The input that holds the past of a forecast value. None: none does."""
    if meaning.targets and meaning.inputs:
        name = meaning.targets[n]
        return meaning.inputs.index(name) if name in meaning.inputs else None
    # Without names, a task that goes on from its inputs has the values first among them.
    return n if task.relative or task.strategy == "rollout" else None


def probabilities(scores: np.ndarray) -> np.ndarray:
    """The softmax of scores [..., classes] over the last axis."""
    return np.asarray(jax.nn.softmax(jnp.asarray(scores), axis=-1))


def with_classes(meaning: Meaning, count: int) -> Meaning:
    """The meaning, with numbers as the names of classes if it has none.

    Raises:
      ValueError: it has another number of names.
    """
    if not meaning.classes:
        return meaning._replace(classes=tuple(map(str, range(count))))
    if len(meaning.classes) != count:
        raise ValueError(
            f"the model has {count} classes, but names of {len(meaning.classes)}: "
            f"{validation.some(meaning.classes)}"
        )
    return meaning
