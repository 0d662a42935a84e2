"""Replacing values of a run's config, as the option --set of the command does."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from jlstm import validation
from jlstm.train.sections import TABLES


def changed(tables: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The tables with some of their values replaced, added or removed, in the order of `changes`.

    Args:
      tables: the tables of a TOML file. They stay as they are.
      changes: TABLE.KEY=VALUE. The value is TOML, or a text without quotes. Without a value, the
        key is removed, and so has its default.

    Raises:
      ValueError: a change has another form, its table is unknown or no table, a list or a table is
        not TOML, or there is no such key to remove.

    >>> changed({"data": {"file": "a.csv", "time": "day"}}, ["data.file=b.csv", "data.time="])
    {'data': {'file': 'b.csv'}}
    """
    made = {name: dict(each) if isinstance(each, dict) else each for name, each in tables.items()}
    for change in changes:
        place, equals, text = change.partition("=")
        name, dot, key = (part.strip() for part in place.partition("."))
        if not equals or not dot or not name or not key or "." in key:
            raise ValueError(
                f"--set got {validation.shown(change)}; expected TABLE.KEY=VALUE, such as "
                "train.steps=500"
            )
        validation.known_name("the table of --set", name, TABLES)
        table = made.setdefault(name, {})
        if not isinstance(table, dict):
            raise ValueError(f"{name} is no table, so --set cannot change {place}")
        if text.strip():
            table[key] = _value(text.strip(), change)
        else:
            _remove(table, name, key, change)
    return made


def _value(text: str, change: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if text[0] + text[-1] in ("[]", "{}"):  # the shell has removed the quotes within
            raise ValueError(
                f"--set got {validation.shown(change)}, which is not TOML; put single quotes "
                "around all of it and double quotes around each text, such as "
                """'data.inputs=["load", "temperature"]'"""
            ) from None
        return text  # a text needs no quotes in a shell


def _remove(table: dict[str, Any], name: str, key: str, change: str) -> None:
    if key not in table:  # a misspelt key would stay in effect
        known = validation.nearest(key, table) if table else "it has no keys"
        raise ValueError(
            f"--set got {validation.shown(change)}, but the config's [{name}] has no such key to "
            f"remove; {known}"
        )
    del table[key]
