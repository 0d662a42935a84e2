"""Reads and writes configs as TOML. Errors name misspelt keys."""

import dataclasses
import json
import pathlib
from typing import Any, TypeVar

from jlstm import validation
from jlstm.config import Config, Layer
from jlstm.files import toml_text

_T = TypeVar("_T")


def dumps(config: Config) -> str:
    """`config` as TOML text that `loads` turns into an equal config.

    Raises:
      ValueError: the initializer or an activation is a function, which TOML cannot hold.

    >>> loads(dumps(Config.stack(6, [4, 5]))) == Config.stack(6, [4, 5])
    True
    """
    if callable(config.initializer):
        raise ValueError(
            f"the config's initializer is the function {config.initializer!r}, which cannot be "
            "written as text; if the parameters exist already, save dataclasses.replace(config, "
            'initializer="keras") instead: it describes the same network'
        )
    for n, layer in enumerate(config.layers):
        for name in ("activation", "recurrent_activation", "cell_activation"):
            if callable(getattr(layer, name)):
                raise ValueError(
                    f"the {name} of layer {n} is the function {getattr(layer, name)!r}, which "
                    "cannot be written as text; use a name of jlstm.activations"
                )
    lines = [_line(name, value) for name, value in _options(config).items() if name != "layers"]
    for layer in config.layers:
        lines += ["", "[[layers]]"]
        lines += [_line(name, value) for name, value in _options(layer).items()]
    return "\n".join(lines) + "\n"


def loads(text: str) -> Config:
    """The config that `text` describes.

    Raises:
      TypeError, ValueError: the text is not TOML, a key is unknown (the message names the nearest)
        or missing, or Layer or Config refuses a value.
    """
    return network(toml_text.parsed(text, "the config"))


def network(table: dict[str, Any]) -> Config:
    """The config of a parsed TOML table with the fields of Config and `[[layers]]` tables."""
    if not isinstance(table, dict):
        raise ValueError(f"[network] is {validation.shown(table)}; expected a table of options")
    table = dict(table)
    layers = table.get("layers", [])
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise ValueError(
            "layers is not a list of tables; expected one [[layers]] heading per layer"
        )
    table["layers"] = tuple(
        section(f"layer {n} of the network", Layer, layer) for n, layer in enumerate(layers)
    )
    return section("the network", Config, table)


def section(what: str, cls: type[_T], table: dict[str, Any]) -> _T:
    """A dataclass from a parsed TOML table. Unknown and missing keys raise ValueError."""
    if not isinstance(table, dict):
        raise ValueError(f"{what} is {validation.shown(table)}; expected a table of options")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    validation.known_keys(what, table, fields)
    for name, field in fields.items():
        needed = field.default is field.default_factory is dataclasses.MISSING
        if needed and name not in table:
            raise ValueError(f"{what} lacks the key {name!r}; add a line '{name} = ...'")
    return cls(**table)


def read(path: str | pathlib.Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
      ValueError: the file cannot be read or is not TOML. The message names the file.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(toml_text.LONGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file") from None
    return toml_text.parsed(text, str(path))


def _options(value: Config | Layer) -> dict[str, Any]:
    options = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: value for name, value in options.items() if value is not None}


def _line(name: str, value: str | bool | int | float) -> str:
    # Strings, numbers and booleans are written the same in JSON and TOML.
    return f"{name} = {json.dumps(value)}"
