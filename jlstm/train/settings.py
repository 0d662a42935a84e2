"""The TOML file of a run, as data."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jlstm import sizes, validation
from jlstm.config import Config, Layer
from jlstm.files import config_toml
from jlstm.train.changes import changed
from jlstm.train.data import sources
from jlstm.train.data.split import Data, Stream
from jlstm.train.optimizer import Optimizer, transformation
from jlstm.train.sections import TABLES, MeshSizes, Run
from jlstm.train.tasks import names
from jlstm.train.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Settings:
    """All of a run but its data.

    Attributes:
      data: the table [data], which a source reads.
      task: the task.
      network: the network.
      optimizer: the optimiser.
      train: the table [train].
      mesh: the devices.
    """

    data: Mapping[str, Any]
    task: Task
    network: Config
    optimizer: Optimizer
    train: Run
    mesh: MeshSizes


def read(path: str | pathlib.Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The tables of a run's TOML file.

    Args:
      path: the file.
      changes: values to replace, such as "train.steps=500", or to remove: "data.time=".

    Raises:
      TypeError, ValueError: the file cannot be read, a table is unknown or missing, or a change
        does not have the form TABLE.KEY=VALUE, or removes a key that is not there.
    """
    tables = config_toml.read(path)
    with validation.plain_errors(path):
        tables = changed(tables, changes)
        validation.known_keys("the file", tables, TABLES)
        for name in ("data", "task", "network", "train"):
            if name not in tables:
                raise ValueError(f"the table [{name}] is missing")
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise ValueError(f"{name} is {validation.shown(table)}; expected a table [{name}]")
    return tables


def require_valid(tables: Mapping[str, Any]) -> None:
    """Raises the errors that can be found without the data, whose loading may take long.

    Args:
      tables: the tables that `read` returned.

    Raises:
      TypeError, ValueError: an option is unknown, missing or has a wrong value, or this machine has
        too little memory for the network.
    """
    names.require_known(tables["task"])
    network = dict(tables["network"])
    if "input_size" not in network:
        network["input_size"] = _width(network)  # stands in for the size of the data
    _require_memory(config_toml.network(network))
    _sections(tables)


def resolved(tables: Mapping[str, Any], data: Data) -> Settings:
    """The settings, with the sizes that the data determine and the defaults of [data].

    Raises:
      TypeError, ValueError: an option is unknown, missing or has a wrong value, or task, network
        and data do not fit each other.
    """
    task = names.from_table(tables["task"], data)
    network = dict(tables["network"])
    size = _input_size(data)
    if size is not None:
        if network.setdefault("input_size", size) != size:
            raise ValueError(
                f"the network's input_size is {network['input_size']}, but the data have {size} "
                f"features a step; set input_size = {size}, or leave it out"
            )
    elif "input_size" not in network:
        # The width of an embedding is free; that of the first layer is a common choice.
        network["input_size"] = _width(network)
    config = config_toml.network(network)
    _require_memory(config)
    jax.eval_shape(lambda key: task.new(key, config), jax.random.key(0))  # they fit each other
    optimizer, train, mesh = _sections(tables)
    return Settings(sources.with_defaults(tables["data"]), task, config, optimizer, train, mesh)


def _sections(tables: Mapping[str, Any]) -> tuple[Optimizer, Run, MeshSizes]:
    optimizer = config_toml.section("[optimizer]", Optimizer, tables.get("optimizer", {}))
    train = config_toml.section("[train]", Run, tables["train"])
    mesh = config_toml.section("[mesh]", MeshSizes, tables.get("mesh", {}))
    transformation(optimizer, train.steps)  # a schedule may be too long for the steps
    return optimizer, train, mesh


def _width(network: Mapping[str, Any]) -> int:
    """The output features of the first layer of a table [network]."""
    layers = network.get("layers")
    if not isinstance(layers, list) or not layers or not isinstance(layers[0], dict):
        return 1  # reading the table will raise an error
    return config_toml.section("layer 0 of the network", Layer, layers[0]).output_size


def _require_memory(config: Config) -> None:
    # Parameters, gradients and two moments of them, as of Adam.
    sizes.require_memory("training", 4 * 4 * sizes.weights(config))


def tables_of(settings: Settings) -> dict[str, Any]:
    """The settings as the tables of a TOML file, every option with its value.

    `resolved` turns them into the same settings.
    """
    network = dataclasses.asdict(settings.network)
    network["layers"] = [_present(layer) for layer in network["layers"]]
    return {
        "data": dict(settings.data),
        "task": names.to_table(settings.task),
        "network": _present(network),
        "optimizer": _present(dataclasses.asdict(settings.optimizer)),
        "train": _present(dataclasses.asdict(settings.train)),
        "mesh": _present(dataclasses.asdict(settings.mesh)),
    }


def _present(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table without the options that are None, which TOML cannot hold."""
    return {name: value for name, value in table.items() if value is not None}


def _input_size(data: Data) -> int | None:
    """Features of a step. None: the data are tokens."""
    train = data.train
    if isinstance(train, Stream) or train.xs.ndim == 2:
        return None
    return int(train.xs.shape[-1])
