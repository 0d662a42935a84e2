"""Reads .ts files: the text format of the archives of time series classification."""

import os
from typing import NamedTuple

import numpy as np

from jlstm.validation import nearest, shown

_LARGEST = 1 << 28  # bytes of a file, which becomes some ten times as large while it is read


class TimeSeries(NamedTuple):
    """What a .ts file holds.

    Attributes:
      series: one float32 array [T, channels] for each sequence, each with its own T.
      labels: int32 [N], places in `classes`.
      classes: the names of the classes, in the order of the file's header.
    """

    series: list[np.ndarray]
    labels: np.ndarray
    classes: tuple[str, ...]


def read(path: str | os.PathLike[str]) -> TimeSeries:
    """The sequences of a .ts file that names the class of each.

    After a header of lines that begin with `@`, each line is a sequence: its channels, separated by
    colons, then its class. The values of a channel are separated by commas.

    Raises:
      ValueError: the file cannot be read, is not such a file, has no sequence, or has missing
        values, time stamps or values that are not numbers. The message names the line.
    """
    try:
        if (size := os.path.getsize(path)) > _LARGEST:
            raise ValueError(f"{path}: the file has {size} bytes; expected at most {_LARGEST}")
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: the file is not UTF-8 text; expected a .ts file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    classes, begin = _header(path, lines)
    number = {name: n for n, name in enumerate(classes)}
    series, labels = [], []
    for n, line in enumerate(lines[begin:], begin + 1):
        if not line.strip() or line.startswith("#"):
            continue
        *channels, name = line.split(":")
        if name.strip() not in number:
            raise ValueError(
                f"{path}, line {n}: the class {shown(name.strip())} is not in the header; "
                f"{nearest(name.strip(), classes)}"
            )
        labels.append(number[name.strip()])
        series.append(_values(f"{path}, line {n}", channels))
        if series[-1].shape[1] != series[0].shape[1]:
            raise ValueError(
                f"{path}, line {n}: {series[-1].shape[1]} channels; expected {series[0].shape[1]}, "
                "as in the first sequence"
            )
    if not series:
        raise ValueError(f"{path}: no sequence follows the line @data; expected at least one")
    return TimeSeries(series, np.array(labels, "int32"), classes)


def _header(path: str | os.PathLike[str], lines: list[str]) -> tuple[tuple[str, ...], int]:
    """The classes that the header names, and the number of its lines."""
    classes: tuple[str, ...] = ()
    for n, line in enumerate(lines):
        key, *values = line.split() or [""]
        match key.lower():
            case "@classlabel" if values[:1] == ["true"]:
                classes = tuple(values[1:])
            case "@timestamps" if values[:1] == ["true"]:
                raise ValueError(f"{path}, line {n + 1}: has time stamps; expected values alone")
            case "@data":
                if len(set(classes)) < max(len(classes), 1):
                    raise ValueError(
                        f"{path}: the header names no classes, or one twice; expected a line such "
                        "as '@classLabel true first second'"
                    )
                return classes, n + 1
    raise ValueError(f"{path}: has no line @data; expected a .ts file")


def _values(where: str, channels: list[str]) -> np.ndarray:
    """The values of a sequence, float32 [T, channels]."""
    try:
        rows = [[float(value) for value in channel.split(",")] for channel in channels]
    except ValueError:
        bad = next(v for c in channels for v in c.split(",") if not _is_number(v))
        raise ValueError(
            f"{where}: the value {shown(bad.strip())} is not a number; expected numbers between "
            "commas. Replace missing values first."
        ) from None
    if len({len(row) for row in rows}) != 1:
        raise ValueError(
            f"{where}: its channels have {sorted({len(row) for row in rows})} values; expected "
            "at least one channel, and as many values in each"
        )
    with np.errstate(over="ignore"):
        values = np.array(rows, "float32").T
    if not np.isfinite(values).all():
        raise ValueError(f"{where}: holds NaN or an infinite value. Replace missing values first.")
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
