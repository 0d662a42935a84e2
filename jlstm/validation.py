"""Checks of options. Their errors state the value, what was expected, and what to do."""

import contextlib
import difflib
import math
import numbers
import operator
import os
import re
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

LARGEST = 2**31 - 1  # size of an axis, for indices in int32
LARGEST_FLOAT = 3.38e38  # float32 and bfloat16 can hold it
_SCREEN = 1500  # characters of a message
_LONGEST_WORD = 300
_LONGEST_VALUE = 200


def printable(text: str) -> str:
    """`text` safe to print: characters that a terminal would interpret are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shortened(text: str, most: int = _LONGEST_VALUE) -> str:
    """`text` without its middle if it has more than `most` characters.

    >>> shortened("a" * 400, 10)
    'aaaaa ... (400 characters) ... aaaaa'
    """
    half = most // 2
    if len(text) <= most:
        return text
    return f"{text[:half]} ... ({len(text)} characters) ... {text[-half:]}"


def shown(value: Any) -> str:
    """The `repr` of a value, shortened."""
    return shortened(repr(value))


def fitting(text: str) -> str:
    """`text` in printable form, shortened to what a screen shows.

    Long words lose their middle first, as they are names from files. The rest of a message says
    what to do.
    """
    # The first cut bounds the time for the others.
    text = shortened(text, 100 * _SCREEN)
    long = re.compile(rf"(?<!\S)\S{{{_LONGEST_WORD + 1},}}")
    text = long.sub(lambda word: shortened(word[0], _LONGEST_WORD), text)
    return shortened(printable(text), _SCREEN)


@contextlib.contextmanager
def plain_errors(path: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Makes TypeErrors and ValueErrors fit to print. They may quote names from a file.

    Their messages become what `fitting` returns, and begin with `path` unless they contain it. So
    do those of ImportErrors that say which package a file needs.
    """
    try:
        yield
    except (TypeError, ValueError, ImportError) as error:
        if isinstance(error, ModuleNotFoundError):  # of the import statement, inside some package
            raise
        said = str(error)
        if path is not None and str(path) not in said:
            said = f"{path}: {said}"
        if (said := fitting(said)) == str(error):
            raise
        kinds = (kind for kind in (TypeError, ImportError) if isinstance(error, kind))
        raise next(kinds, ValueError)(said) from None


def nearest(word: str, known: Collection[str]) -> str:
    """A hint naming the known word closest to `word`, or all known words if none is close."""
    close = difflib.get_close_matches(word[:_LONGEST_VALUE], known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + ", ".join(repr(name) for name in sorted(known))


def some(names: Collection[str]) -> str:
    """The first few names, and the number of the others."""
    first = ", ".join(shortened(name, 100) for name in sorted(names)[:8]) or "none"
    return first if len(names) <= 8 else f"{first} and {len(names) - 8} more"


def difference(found: Collection[str], expected: Collection[str]) -> str:
    """Which names are missing and which are not expected; empty if none.

    >>> difference(["b", "c"], ["a", "b"])
    'missing: a; not expected: c'
    """
    missing, surplus = set(expected) - set(found), set(found) - set(expected)
    if not missing and not surplus:
        return ""
    return f"missing: {some(missing)}; not expected: {some(surplus)}"


def known_name(what: str, value: Any, known: Collection[str]) -> str:
    """`value` if it is one of the `known` names; otherwise a ValueError suggests the nearest."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is {shown(value)}; expected a name, one of {sorted(known)}")
    if value not in known:
        raise ValueError(f"{what} is {shown(value)}, which is not known; {nearest(value, known)}")
    return value


def known_keys(what: str, keys: Collection[str], known: Collection[str]) -> None:
    """Raises ValueError for the first of `keys` that is not `known`, and suggests the nearest."""
    for key in keys:
        if key not in known:
            raise ValueError(f"{what} has no option {shown(key)}; {nearest(key, known)}")


def positive_int(what: str, value: Any) -> int:
    """`value` as an int of at least 1."""
    number = integer(what, value)
    if number < 1:
        raise ValueError(f"{what} is {shown(number)}; expected a whole number of at least 1")
    return number


def size(what: str, value: Any) -> int:
    """`value` as an int of at least 1 that JAX can use as the size of an axis."""
    number = positive_int(what, value)
    if number > LARGEST:
        raise ValueError(f"{what} is {shown(number)}; expected at most {LARGEST}")
    return number


def boolean(what: str, value: Any) -> bool:
    """`value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{what} is {shown(value)}; expected True or False")
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
        raise TypeError(f"{what} is {shown(value)}; expected a number")
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
        raise ValueError(f"{what} is {shown(value)}; expected {expected}")
    return value


def single(what: str, value: Any, **bounds: float) -> float:
    """As `number`, for a number that is finite in float32 and bfloat16."""
    found = number(what, value, **bounds)
    if abs(found) > LARGEST_FLOAT:
        raise ValueError(
            f"{what} is {shown(found)}; expected a number from {-LARGEST_FLOAT:g} to "
            f"{LARGEST_FLOAT:g}, as float32 and bfloat16 hold larger ones as infinity"
        )
    return found


def integer(what: str, value: Any) -> int:
    """`value` as an int."""
    if isinstance(value, bool):
        raise TypeError(f"{what} is {shown(value)}; expected a whole number")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is {shown(value)}; expected a whole number") from None
