"""The config.toml of a run's folder: every option as it was used, those from --set included."""

import os
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jlstm import validation
from jlstm.files import config_toml, toml_text, toml_writing

NAME = "config.toml"
# The first line of a run's config tells it from a config that somebody wrote.
_FIRST = "# The config of a run, as `jlstm train` resolved it."
# Options that change no array of a checkpoint. The learning rate is for runs whose loss left the
# numbers. The others change nothing of what is learned up to a step.
MAY_CHANGE = frozenset(
    {
        "optimizer.learning_rate",
        "train.out",
        "train.steps",
        "train.steps_per_call",
        "train.evaluate_every",
        "train.save_every",
        "train.keep",
        "train.patience",
        "mesh",
    }
)


def text(tables: Mapping[str, Any]) -> str:
    """The content of config.toml."""
    return f"{_FIRST}\n\n{toml_writing.dumps(tables)}"


def of_a_run(path: pathlib.Path) -> bool:
    """Whether a file is the config of a run, not one that somebody wrote."""
    try:
        with path.open("rb") as file:
            return file.readline(200).strip() == _FIRST.encode()
    except FileNotFoundError:
        return False


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of the config.toml in a run's folder.

    Raises:
      ValueError: the folder holds no run, or its config cannot be read.
    """
    folder = pathlib.Path(path)
    if not (folder / NAME).is_file():
        raise ValueError(
            f"{folder} holds no run: it has no {NAME}; pass a folder that `jlstm train` wrote"
        )
    return config_toml.read(folder / NAME)


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], may_change: Collection[str] = ()
) -> list[str]:
    """What differs between two configs, as "table.option: value -> value".

    >>> differences({"train": {"seed": 0, "steps": 5}}, {"train": {"seed": 1}}, ["train.steps"])
    ['train.seed: 0 -> 1']
    """
    old, new = (dict(_flat((), toml_text.parsed(text(each), "it"))) for each in (before, now))
    found = []
    for name in dict.fromkeys([*old, *new]):
        prefixes = {name.rsplit(".", n)[0] for n in range(name.count(".") + 1)}
        if old.get(name) != new.get(name) and not prefixes & set(may_change):
            values = (
                validation.shown(each[name]) if name in each else "none" for each in (old, new)
            )
            found.append(f"{name}: {' -> '.join(values)}")
    return found


def _flat(place: tuple[str, ...], value: Any) -> Iterator[tuple[str, Any]]:
    """The options of nested tables by their joined names."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        value = {str(n): each for n, each in enumerate(value)}
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat((*place, str(name)), each)
    else:
        yield ".".join(place), value
