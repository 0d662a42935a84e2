"""The fields of a benchmark record: what each holds, and a check of records that were read."""

import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jlstm.bench.cases import MODES
from jlstm.config import DTYPES

Record = dict[str, Any]
# The most items of a list or a table, and the most rounds, of which medians are resampled.
MOST_ITEMS, MOST_ROUNDS = 10_000, 1000
_MOST_MODES = 100  # of a case; they may repeat
# A time divided by another, or by a rate of the machine, stays within the range of a float.
SHORTEST_S, LONGEST_S = 1e-12, 1e9
_STARTED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class Value(NamedTuple):
    """What a field holds: its description in errors, and the test that a value must pass."""

    expected: str
    fits: Callable[[Any], bool]


class Items(NamedTuple):
    """A list of values."""

    each: Value
    fewest: int
    most: int


class Table(NamedTuple):
    """An object with any names, up to MOST_ITEMS."""

    each: Value


Field = Value | Items | Table | Mapping[str, Any]


def _text(expected: str, fits: Callable[[str], Any] = lambda text: True) -> Value:
    return Value(expected, lambda v: isinstance(v, str) and bool(fits(v)))


def _number(expected: str, low: float, high: float) -> Value:
    # A comparison with NaN is false.
    return Value(
        f"{expected} from {low:g} to {high:g}",
        lambda v: type(v) in (int, float) and low <= v <= high,
    )


def _whole(expected: str, low: int, high: int) -> Value:
    return Value(
        f"{expected}, a whole number from {low} to {high:g}",
        lambda v: type(v) is int and low <= v <= high,
    )


def _or_null(value: Value) -> Value:
    return Value(f"{value.expected}, or null", lambda v: v is None or value.fits(v))


def _one_of(names: tuple[str, ...]) -> Value:
    return _text(f"one of {', '.join(names)}", lambda text: text in names)


_NAME = _text("a name, text that is not empty", bool)
_ANY_TEXT = _text("text")
_SIZE = _whole("a size", 1, 10**9)
_WORK = _whole("a count", 1, 10**24)
_COUNT = _whole("a count", 1, 10**9)
_TIME = _number("seconds", SHORTEST_S, LONGEST_S)
_TIME_OR_0 = Value(
    f"{_TIME.expected}, or 0", lambda v: _TIME.fits(v) or (type(v) in (int, float) and v == 0)
)
_RATE = _number("a rate", 1e-9, 1e12)

OF_ALL: Mapping[str, Field] = {
    "command": _NAME,
    "versions": Table(_or_null(_text("a version"))),
    "processor": _ANY_TEXT,
    "cpus": _or_null(_COUNT),
    "threads": _COUNT,
    "ceilings": {"product_gflops_per_s": _RATE, "copy_gbytes_per_s": _RATE},
    "started": _text("a time such as 2026-01-31T12:00:00Z", _STARTED.fullmatch),
    "case": _NAME,
    "mode": _one_of(MODES),
    "contender": _NAME,
    "config": _text("the TOML text of a config", bool),
    "shape": {
        "time_steps": _SIZE,
        "batch_size": _SIZE,
        "shortest": _number("a fraction", 0, 1),
        "resets": _number("a fraction", 0, 1),
        "modes": Items(_one_of(MODES), 1, _MOST_MODES),
    },
    "time_steps": _SIZE,
    "batch_size": _SIZE,
    "input_size": _SIZE,
    "hidden_sizes": Items(_SIZE, 1, MOST_ITEMS),
    "dtype": _one_of(DTYPES),
    "flops": _WORK,
    "bytes_moved": _WORK,
}
OF_TIMED: Mapping[str, Field] = {
    "lower_s": _TIME_OR_0,
    "compile_s": _TIME_OR_0,
    "first_call_s": _TIME_OR_0,
    "memory_bytes": _or_null(_whole("bytes", 0, 10**18)),
    "rounds_s": Items(_TIME, 1, MOST_ROUNDS),
    "median_s": _TIME,
    "interval_s": Items(_TIME, 2, 2),
    "null_s": _or_null(_TIME_OR_0),
}
# Compiling has no speed.
OF_RUN: Mapping[str, Field] = {"gflops_per_s": _RATE}
OF_LEFT_OUT: Mapping[str, Field] = {"left_out": _ANY_TEXT}


def checked(record: Any) -> Record:
    """The known fields of a record. Unknown fields, as of a later version, are dropped.

    Raises:
      ValueError: a field is missing, or its value is not what it holds. The message names it.
    """
    if not isinstance(record, dict):
        raise ValueError(f"it is {_short(record)}; expected the JSON object of a record")
    common = _checked("", record, OF_ALL)
    if "left_out" in record:
        if both := [name for name in (*OF_TIMED, *OF_RUN) if name in record]:
            raise ValueError(
                f"it has both left_out and {both[0]}; expected one of them: left_out says why a "
                "contender was not timed"
            )
        return common | _checked("", record, OF_LEFT_OUT)
    of_run = {} if common["mode"] == "compile" else OF_RUN
    timed = _checked("", record, {**OF_TIMED, **of_run})
    low, high = timed["interval_s"]
    if low > high:
        raise ValueError(f"interval_s is [{low!r}, {high!r}]; expected the lower bound first")
    return common | timed


def _checked(place: str, value: Any, field: Field) -> Any:
    if isinstance(field, Value):
        _require(field.fits(value), place, value, field)
        return value
    if isinstance(field, Items):
        fits = isinstance(value, list) and field.fewest <= len(value) <= field.most
        _require(fits, place, value, field)
        for n, v in enumerate(value):
            if not field.each.fits(v):
                _require(False, f"{place}[{n}]", v, field.each)
        return value
    if isinstance(field, Table):
        _require(isinstance(value, dict) and len(value) <= MOST_ITEMS, place, value, field)
        for k, v in value.items():
            if not field.each.fits(v):
                _require(False, f"{place}[{_short(k)}]", v, field.each)
        return value
    _require(isinstance(value, dict), place, value, field)
    before = f"{place}." if place else ""
    for name in field:
        if name not in value:
            raise ValueError(f"it lacks {before}{name}; expected {_expected(field[name])}")
    return {name: _checked(before + name, value[name], each) for name, each in field.items()}


def _require(fits: bool, place: str, value: Any, field: Field) -> None:
    if not fits:
        count = f" ({len(value):,} items)" if isinstance(value, list | dict) else ""
        raise ValueError(f"{place} is {_short(value)}{count}; expected {_expected(field)}")


def _expected(field: Field) -> str:
    if isinstance(field, Value):
        return field.expected
    if isinstance(field, Items):
        fewest, most = f"{field.fewest:,}", f"{field.most:,}"
        many = most if fewest == most else f"{fewest} to {most}"
        return f"a list of {many} items, each {field.each.expected}"
    if isinstance(field, Table):
        return f"an object of at most {MOST_ITEMS:,} names, each with {field.each.expected}"
    return f"an object with {', '.join(field)}"


def _short(value: Any) -> str:
    """The representation of a value of any size and depth, in less than a line."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxlong = brief.maxother = 50
    brief.maxlevel = brief.maxlist = brief.maxdict = 2
    return brief.repr(value)
