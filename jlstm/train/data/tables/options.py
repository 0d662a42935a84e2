"""Checks of the options of the sources that read users' files."""

import os
from collections.abc import Sequence
from typing import Any

from jlstm import validation


def path(what: str, value: Any) -> str:
    """`value` as the name of a file."""
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise TypeError(f"{what} is {validation.shown(value)}; expected the name of a file")
    return str(value)


def column(what: str, value: Any) -> str:
    """`value` as the name of a column."""
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{what} is {validation.shown(value)}; expected the name of a column")
    return value.strip()


def optional_column(what: str, value: Any) -> str | None:
    """`value` as the name of a column, or None."""
    return None if value is None else column(what, value)


def columns(what: str, value: Any) -> tuple[str, ...]:
    """`value`, one name or several, as different names of columns."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, Sequence) or not given:
        raise TypeError(
            f"{what} is {validation.shown(value)}; expected the name of a column, or a list of them"
        )
    names = tuple(column(what, each) for each in given)
    for n, name in enumerate(names):
        if name in names[:n]:
            raise ValueError(f"{what} has the column {validation.shown(name)} twice; remove one")
    return names


def share(what: str, value: Any) -> float | int:
    """`value` as a fraction (a float below 1) or a count (a whole number)."""
    if isinstance(value, float):
        return validation.number(what, value, low=0.0, below=1.0)
    return int(validation.number(what, validation.integer(what, value), low=0, below=2**31))


def share_or(what: str, value: Any, usual: float, given: str) -> float | int:
    """`value` as a share.

    Args:
      what: the option, such as "valid".
      value: its value, or None.
      usual: the share if `value` is None.
      given: the option or array that holds the whole part, and makes the share 0. "": none does.

    Raises:
      ValueError: both `value` and `given` are there.
    """
    if value is not None and given:
        raise ValueError(
            f"{what} = {validation.shown(value)} and {given} are both given; leave out {what}: "
            f"{given} is the whole part"
        )
    if value is None:
        return 0 if given else usual
    return share(what, value)


def count(share: float | int, whole: int) -> int:
    """How many of `whole` a share is: a fraction is rounded.

    >>> count(0.25, 10), count(3, 10)
    (2, 3)
    """
    return round(share * whole) if isinstance(share, float) else share
