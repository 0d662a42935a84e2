"""Tasks by name, with the sizes that the data determine."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jlstm import validation
from jlstm.files import config_toml
from jlstm.train.data.split import Data, Split, Stream
from jlstm.train.tasks.classify import Classify
from jlstm.train.tasks.ctc import Ctc
from jlstm.train.tasks.forecast import Forecast
from jlstm.train.tasks.label import Label
from jlstm.train.tasks.language import Language
from jlstm.train.tasks.regress import Regress
from jlstm.train.tasks.task import Task

TASKS: dict[str, Any] = {
    "classify": Classify,
    "ctc": Ctc,
    "forecast": Forecast,
    "label": Label,
    "language": Language,
    "regress": Regress,
}


def from_table(table: Mapping[str, Any], data: Data | None = None) -> Task:
    """The task that a TOML table describes: its `name`, and the task's options.

    Args:
      table: the table [task].
      data: sizes that the table leaves out are those of the data. None: the table has them all.
        Sizes that the table has are not looked at: `fitting.require_fitting` does that.

    Raises:
      TypeError, ValueError: the task or an option is unknown, or the data are for another task.

    >>> from_table({"name": "classify", "classes": 3})
    Classify(classes=3, readout='last', vocabulary=None)
    """
    cls = require_known(table)
    table = dict(table)
    name = table.pop("name")
    if data is not None:
        known = {field.name for field in dataclasses.fields(cls)}
        table = {k: v for k, v in _sizes(name, data).items() if k in known} | table
    if "quantiles" in table and isinstance(table["quantiles"], list):
        table["quantiles"] = tuple(table["quantiles"])
    return config_toml.section("[task]", cls, table)


def require_known(table: Mapping[str, Any]) -> Any:
    """The class of the task that a TOML table names. Its values are not looked at.

    Raises:
      TypeError, ValueError: the task or an option is unknown.
    """
    if "name" not in table:
        raise ValueError(f"[task] lacks the key 'name'; expected one of {', '.join(TASKS)}")
    cls = TASKS[validation.known_name("the name of [task]", table["name"], TASKS)]
    known = [field.name for field in dataclasses.fields(cls)]
    validation.known_keys("[task]", [key for key in table if key != "name"], known)
    return cls


def to_table(task: Any) -> dict[str, Any]:
    """The table that `from_table` turns into an equal task."""
    (name,) = (name for name, cls in TASKS.items() if type(task) is cls)
    options = {k: v for k, v in dataclasses.asdict(task).items() if v is not None}
    return {"name": name} | options


def _sizes(name: str, data: Data) -> dict[str, Any]:
    """The sizes of a task that the data determine."""
    meaning, train = data.meaning, data.train
    if isinstance(train, Stream) != (name == "language"):
        held = "one long stream of tokens" if isinstance(train, Stream) else "sequences"
        raise ValueError(
            f'the task is "{name}", but the data are {held}; '
            + ('use the task "language"' if isinstance(train, Stream) else "use another task")
        )
    sizes: dict[str, Any] = {}
    if meaning.vocabulary:
        sizes["vocabulary"] = len(meaning.vocabulary)
    if isinstance(train, Stream):
        return sizes
    if train.xs.ndim == 2 and "vocabulary" not in sizes:
        sizes["vocabulary"] = 1 + _largest(data, "xs")
    targets = train.targets
    if name in ("classify", "label", "ctc"):
        wanted = 1 if name == "classify" else 2
        if targets.ndim != wanted or not np.issubdtype(targets.dtype, np.integer):
            raise ValueError(
                f'the task "{name}" needs classes as whole numbers with {wanted} axes, but the '
                f"targets are {targets.dtype}{list(targets.shape)}; use another task"
            )
        sizes["classes"] = len(meaning.classes) or 1 + _largest(data, "targets")
    else:
        wanted = 3 if name == "forecast" else 2
        if targets.ndim != wanted:
            raise ValueError(
                f'the task "{name}" needs targets with {wanted} axes, but they have the shape '
                f"{list(targets.shape)}; use another task"
            )
        sizes |= {"values": targets.shape[-1], "horizon": targets.shape[1]}
    return sizes


def _largest(data: Data, field: str) -> int:
    splits = [s for s in (data.train, data.valid, data.test) if isinstance(s, Split)]
    return max((int(getattr(s, field).max()) for s in splits if len(s.xs)), default=0)
