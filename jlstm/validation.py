"""Checks of options. Their errors state the value, what was expected, and what to do."""

import contextlib
import difflib
import math
import numbers
import operator
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np


def printable(text: str) -> str:
    """`text` safe to print: characters that a terminal would interpret are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Escapes the messages of TypeErrors and ValueErrors, which may quote names from a file."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if str(error).isprintable():
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(printable(str(error))) from None


def nearest(word: str, known: Collection[str]) -> str:
    """A hint naming the known word closest to `word`, or all known words if none is close."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + ", ".join(repr(name) for name in sorted(known))


def some(names: Collection[str]) -> str:
    """The first few names, and the number of the others."""
    shown = ", ".join(sorted(names)[:8]) or "none"
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def known_name(what: str, value: Any, known: Collection[str]) -> str:
    """`value` if it is one of the `known` names; otherwise a ValueError suggests the nearest."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is {value!r}; expected a name, one of {sorted(known)}")
    if value not in known:
        raise ValueError(f"{what} is {value!r}, which is not known; {nearest(value, known)}")
    return value


def known_keys(what: str, keys: Collection[str], known: Collection[str]) -> None:
    """Raises ValueError for the first of `keys` that is not `known`, and suggests the nearest."""
    for key in keys:
        if key not in known:
            raise ValueError(f"{what} has no option {key!r}; {nearest(key, known)}")


def positive_int(what: str, value: Any) -> int:
    """`value` as an int of at least 1."""
    number = integer(what, value)
    if number < 1:
        raise ValueError(f"{what} is {number}; expected a whole number of at least 1")
    return number


def boolean(what: str, value: Any) -> bool:
    """`value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{what} is {value!r}; expected True or False")
    return bool(value)


def number(
    what: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    below: float = math.inf,
    above: float = -math.inf,
) -> float:
    """`value` as a finite float with low <= value <= high and above < value < below."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what} is {value!r}; expected a number")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value) or not low <= value <= high or not above < value < below:
        spans = [
            f"{words} {bound:g}"
            for words, bound in (
                ("of at least", low),
                ("above", above),
                ("of at most", high),
                ("below", below),
            )
            if math.isfinite(bound)
        ]
        expected = " ".join(["a finite number", " and ".join(spans)]).strip()
        raise ValueError(f"{what} is {value!r}; expected {expected}")
    return value


def integer(what: str, value: Any) -> int:
    """`value` as an int."""
    if isinstance(value, bool):
        raise TypeError(f"{what} is {value!r}; expected a whole number")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is {value!r}; expected a whole number") from None
