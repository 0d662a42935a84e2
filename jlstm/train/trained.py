"""A trained model as one file: network, embedding and head, its task, and what its numbers mean."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm import validation
from jlstm.config import Config
from jlstm.train.data.split import Meaning
from jlstm.train.model import Head, Model
from jlstm.train.runs import model_file
from jlstm.train.tasks import names
from jlstm.train.tasks.task import Task

NAMES = {"embedding": "embedding", "w": "readout.w", "b": "readout.b", "query": "readout.query"}


class Trained(NamedTuple):
    """A trained model.

    Attributes:
      config: the network.
      task: the task.
      model: the parameters.
      meaning: what the numbers of its data stand for.
      data: the table [data] that it was trained with.
      unroll: the steps of a batch of a stream, or None.
      rows: the number of rows that a stream is divided into when the model is measured, or None.
        Metrics depend on it: the first tokens of each row are predicted without the text before.

    >>> from jlstm.train.data import sources
    >>> from jlstm.train.tasks.forecast import Forecast
    >>> table = {"source": "noisy_sines", "steps": 9, "horizon": 2, "train": 4, "test": 4}
    >>> data = sources.load(table)
    >>> config, task = Config.stack(1, [4]), Forecast(horizon=2)
    >>> model = task.new(jax.random.key(0), config)
    >>> trained = Trained(config, task, model, data.meaning, table, None)
    >>> trained.model.head.w.shape
    (4, 2)
    """

    config: Config
    task: Task
    model: Model
    meaning: Meaning
    data: dict[str, Any]
    unroll: int | None
    rows: int | None = None


def arrays_of(model: Model) -> dict[str, Any]:
    """The arrays beside the network by their names in a file. Absent ones are None."""
    return {NAMES["embedding"]: model.embedding} | {
        NAMES[name]: array for name, array in model.head._asdict().items()
    }


def values_of(
    task: Task,
    meaning: Meaning,
    data: Mapping[str, Any],
    unroll: int | None,
    rows: int | None = None,
) -> dict[str, Any]:
    """The JSON values of a file by their names."""
    values = {"task": names.to_table(task), "meaning": meaning._asdict(), "data": dict(data)}
    sizes = {"unroll": unroll, "rows": rows}
    return values | {name: size for name, size in sizes.items() if size is not None}


def save(path: str | os.PathLike[str], trained: Trained) -> None:
    """Writes a trained model to one .safetensors file, from which `jlstm.load` reads the network.

    Args:
      path: the file.
      trained: the model.

    Raises:
      TypeError, ValueError, OSError: as `jlstm.save`.

    >>> from jlstm.train.data import sources
    >>> from jlstm.train.tasks.forecast import Forecast
    >>> table = {"source": "noisy_sines", "steps": 9, "horizon": 2, "train": 4, "test": 4}
    >>> data = sources.load(table)
    >>> config, task = Config.stack(1, [4]), Forecast(horizon=2)
    >>> model = task.new(jax.random.key(0), config)
    >>> trained = Trained(config, task, model, data.meaning, table, None)
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.safetensors", trained)
    ...     load(f"{folder}/model.safetensors").task.horizon
    2
    """
    values = values_of(trained.task, trained.meaning, trained.data, trained.unroll, trained.rows)
    arrays = arrays_of(trained.model)
    model_file.save(path, trained.config, trained.model.network, arrays, values)


def load(path: str | os.PathLike[str]) -> Trained:
    """Loads a model that `save` or `jlstm train` wrote.

    Args:
      path: the file.

    Returns:
      The model.

    Raises:
      ValueError: the file is not a model of `jlstm train`, or its parts do not fit each other.

    >>> from jlstm.train.data import sources
    >>> from jlstm.train.tasks.forecast import Forecast
    >>> table = {"source": "noisy_sines", "steps": 9, "horizon": 2, "train": 4, "test": 4}
    >>> data = sources.load(table)
    >>> config, task = Config.stack(1, [4]), Forecast(horizon=2)
    >>> model = task.new(jax.random.key(0), config)
    >>> trained = Trained(config, task, model, data.meaning, table, None)
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.safetensors", trained)
    ...     load(f"{folder}/model.safetensors").task.horizon
    2
    """
    loaded = model_file.load(path)
    values = loaded.values
    with validation.plain_errors(path):
        if "task" not in values:
            raise ValueError(
                f"{path} holds a network, but no task that it was trained for; pass a model that "
                "`jlstm train` wrote, or use jlstm.load"
            )
        task = names.from_table(_table(values, "task"))
        meaning = _meaning(_table(values, "meaning"))
        unroll, rows = (
            None if values.get(name) is None else validation.size(name, values[name])
            for name in ("unroll", "rows")
        )
        head = Head(*(loaded.arrays.get(NAMES[name]) for name in Head._fields))
        model = Model(loaded.arrays.get(NAMES["embedding"]), loaded.params, head)
        _require_fitting(task, loaded.config, model)
    return Trained(loaded.config, task, model, meaning, _table(values, "data"), unroll, rows)


def _table(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = values.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{name} is {validation.shown(table)}; expected a table")
    return table


def _meaning(table: Mapping[str, Any]) -> Meaning:
    validation.known_keys("the meaning of the data", table, Meaning._fields)
    made = {}
    for name, values in table.items():
        if not isinstance(values, list):
            raise ValueError(f"{name} is {validation.shown(values)}; expected a list")
        numbers = name.endswith(("_mean", "_scale"))
        made[name] = tuple(
            validation.number(name, each) if numbers else str(each) for each in values
        )
    return Meaning(**made)


def _require_fitting(task: Task, config: Config, model: Model) -> None:
    """ValueError if the arrays are not those of the task."""
    shapes = jax.eval_shape(lambda key: task.new(key, config), jax.random.key(0))
    for name, wanted in arrays_of(shapes).items():
        found = arrays_of(model)[name]
        if (found is None) != (wanted is None):
            raise ValueError(f"the task {'needs' if found is None else 'has no'} array {name!r}")
        if found is not None and jnp.shape(found) != wanted.shape:
            raise ValueError(
                f"the array {name!r} has the shape {list(jnp.shape(found))}; the task needs "
                f"{list(wanted.shape)}"
            )
