"""Writes nested tables as TOML."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jlstm import validation


def dumps(tables: Mapping[str, Any]) -> str:
    """Tables as TOML. Options that are None are left out.

    Args:
      tables: strings, numbers, booleans, lists, and tables of them, by name. A list of tables
        becomes [[headings]].

    Raises:
      TypeError, ValueError: TOML cannot hold a value, such as text with halves of characters.

    >>> print(dumps({"train": {"steps": 5, "out": "runs/a"}}), end="")
    [train]
    steps = 5
    out = "runs/a"
    """
    return "\n".join(_lines((), tables)).lstrip("\n") + "\n"


def _lines(place: tuple[str, ...], table: Mapping[str, Any]) -> list[str]:
    """The lines of a table: its own options first, as TOML needs, then the tables in it."""
    present = {name: value for name, value in table.items() if value is not None}
    own = {n: v for n, v in present.items() if not isinstance(v, Mapping) and not _tables(v)}
    lines = [f"{_key(name)} = {_value((*place, name), value)}" for name, value in own.items()]
    for name, value in present.items():
        if name in own:
            continue
        inner = (*place, name)
        heading = ".".join(map(_key, inner))
        if isinstance(value, Mapping):
            lines += ["", f"[{heading}]", *_lines(inner, value)]
        else:
            for each in value:
                lines += ["", f"[[{heading}]]", *_lines(inner, each)]
    return lines


def _tables(value: Any) -> bool:
    listed = isinstance(value, (list, tuple))
    return listed and bool(value) and all(isinstance(each, Mapping) for each in value)


def _key(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{validation.shown(name)} is no name of an option; expected text")
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _value(place: tuple[str, ...], value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return repr(number) if math.isfinite(number) else str(number)
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(place, each) for each in value) + "]"
    raise TypeError(f"{'.'.join(place)} is {validation.shown(value)}, which TOML cannot hold")


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{validation.shown(text)} has halves of characters") from None
    # JSON and TOML escape alike, but for the last control character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
