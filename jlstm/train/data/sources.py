"""The data sources that a TOML file can name."""

import importlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from jlstm import validation
from jlstm.train.data.split import Data

# The module and function of each name. Only the module of the chosen source is imported, so a
# package that another source needs may be missing.
SOURCES = {
    "adding": "synthetic.adding.adding",
    "adding_1997": "synthetic.adding.adding_1997",
    "arrays": "tables.arrays.arrays",
    "basic_motions": "aeon.basic_motions",
    "bible": "text.bible",
    "chorales": "chorales.chorales",
    "continual_reber": "synthetic.reber.continual_reber",
    "copy_memory": "synthetic.copy_memory.copy_memory",
    "counting": "synthetic.counting.counting",
    "digits": "digits.digits",
    "embedded_reber": "synthetic.reber.embedded_reber",
    "fashion_mnist": "images.fashion_mnist",
    "idx": "images.idx",
    "italy_power_demand": "aeon.italy_power_demand",
    "japanese_vowels": "aeon.japanese_vowels",
    "mnist1d": "synthetic.mnist1d.mnist1d",
    "noisy_sines": "synthetic.noisy_sines.noisy_sines",
    "sequences": "tables.sequences.sequences",
    "series": "tables.series.series",
    "temporal_order": "synthetic.temporal_order.temporal_order",
    "text": "text.text",
}


def source(name: str) -> Callable[..., Data]:
    """The function that a name stands for.

    Raises:
      TypeError, ValueError: no source has that name. The message suggests the nearest.

    >>> source("adding")(steps=4, train=2, test=0).train.xs.shape
    (2, 4, 2)
    """
    validation.known_name("[data] source", name, SOURCES)
    module, _, function = SOURCES[name].rpartition(".")
    return getattr(importlib.import_module(f"jlstm.train.data.{module}"), function)


def load(table: dict[str, Any]) -> Data:
    """The data set that the table [data] of a TOML file describes.

    Args:
      table: `source`, one of SOURCES, and the options of that function.

    Returns:
      The data: splits `train` and `test`, and the meaning of their numbers.

    Raises:
      ImportError: the source needs a package that is not installed.
      TypeError, ValueError: the source is missing or not known; an option is missing, not known or
        of the wrong type; the source refuses a value, or what it reads.

    >>> load({"source": "adding", "steps": 4, "train": 2}).train.targets.shape
    (2, 1)
    >>> load({"source": "adding", "step": 4})
    Traceback (most recent call last):
    ValueError: [data] with source 'adding' has no option 'step'; did you mean 'steps'?
    """
    if not isinstance(table, dict):
        raise TypeError(f"[data] is {validation.shown(table)}; expected a table of options")
    if "source" not in table:
        raise ValueError(
            "[data] lacks the key 'source'; add a line 'source = \"...\"' with one of "
            + ", ".join(SOURCES)
        )
    name = table["source"]
    function = source(name)
    options = {key: value for key, value in table.items() if key != "source"}
    parameters = inspect.signature(function).parameters
    validation.known_keys(f"[data] with source {name!r}", options, parameters)
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in options:
            raise ValueError(
                f"[data] with source {name!r} lacks the key {key!r}; add a line '{key} = ...'"
            )
    hints = typing.get_type_hints(function)
    for key, value in options.items():
        if not _fits(value, hints[key]):
            raise TypeError(
                f"[data] {key} is {validation.shown(value)}; expected {_said(hints[key])}"
            )
    return function(**options)


def with_defaults(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table [data] with the default of each option of its source that it leaves out.

    Options whose default is None, which TOML cannot hold, are left out. A program may have data of
    its own and a table that names no source of this module; that table has no defaults.

    >>> with_defaults({"source": "text", "path": "a.txt", "test": 0})
    {'source': 'text', 'path': 'a.txt', 'test': 0, 'level': 'characters', 'valid': 0.05}
    """
    if table.get("source") not in SOURCES:
        return dict(table)
    parameters = inspect.signature(source(table["source"])).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.name not in table}
    absent = (None, inspect.Parameter.empty)
    return dict(table) | {name: value for name, value in defaults.items() if value not in absent}


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    list: "a list",
    tuple: "a list",
    dict: "a table",
}


def _members(hint: Any) -> list[Any]:
    """The types of a union, without None, which TOML does not have."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return [one for one in typing.get_args(hint) if one is not types.NoneType]
    return [hint]


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a TOML file may be passed where a function expects `hint`.

    Annotations that are no types of TOML, such as those of paths, leave the check to the function.
    """
    if len(members := _members(hint)) > 1:
        return any(_fits(value, one) for one in members)
    origin, inner = typing.get_origin(members[0]) or members[0], typing.get_args(members[0])
    if origin is typing.Literal:
        return any(type(value) is type(one) for one in inner)  # the function names the nearest
    if origin in (list, tuple):
        items = [one for one in inner if one is not Ellipsis]
        kind = items[0] if len(set(items)) == 1 else Any
        return isinstance(value, list) and all(_fits(one, kind) for one in value)
    if origin is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return origin not in _WORDS or isinstance(value, origin)


def _said(hint: Any) -> str:
    """What `hint` asks for, in words."""

    def said(one: Any) -> str:
        if typing.get_origin(one) is typing.Literal:
            return " or ".join(map(repr, typing.get_args(one)))
        items = [item for item in typing.get_args(one) if item is not Ellipsis]
        words = _WORDS.get(typing.get_origin(one) or one, str(one))
        return f"{words} of items, each {_said(items[0])}" if len(set(items)) == 1 else words

    return " or ".join(map(said, _members(hint)))
