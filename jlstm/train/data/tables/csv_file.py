"""Reads columns of a CSV file. The memory it takes is proportional to the size of the file."""

import csv
import datetime
import itertools
import os
from collections.abc import Iterator, Sequence
from operator import itemgetter

import numpy as np

from jlstm.train.data.tables.columns import FIRST, Names, NamesSoFar, Wanted, refuse, require

_DELIMITERS = ",;\t"
_CELLS = 1 << 20  # cells of the rows that are split at once
_EPOCH = datetime.datetime(1970, 1, 1)


def read(path: str | os.PathLike[str], wanted: Sequence[Wanted]) -> list[np.ndarray | Names]:
    """Reads the wanted columns of a CSV file in UTF-8 whose first row names the columns.

    Commas, semicolons or tabs separate the cells: the one that gives the first line most cells.

    Returns:
      For each wanted column, by its kind: numbers float64 [rows]; names; times as numbers [rows]
      that are comparable.

    Raises:
      ValueError: the file cannot be read, or a cell is not as expected. The message has the row.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _read(file, wanted)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file in UTF-8; save it as CSV in UTF-8") from None


def _read(file: Iterator[str], wanted: Sequence[Wanted]) -> list[np.ndarray | Names]:
    first = next(file, "")
    delimiter = max(_DELIMITERS, key=lambda each: _cells(first, each))
    rows = csv.reader(itertools.chain([first], file), delimiter=delimiter, strict=True)
    header = [cell.strip() for cell in next(_numbered(rows, 1), (1, []))[1]]
    if not any(header):
        raise ValueError("row 1 is empty; expected a header that names the columns")
    require(header, wanted)
    readers = [_READERS[kind](column) for column, kind in wanted]
    picks = [itemgetter(header.index(column)) for column, _ in wanted]
    numbered = _full(_numbered(rows, FIRST), len(header))
    start = FIRST
    while chunk := list(itertools.islice(numbered, max(1, _CELLS // len(header)))):
        for reader, pick in zip(readers, picks, strict=True):
            reader.add(start, list(map(pick, chunk)))
        start += len(chunk)
    if start == FIRST:
        raise ValueError("the file has a header but no rows; expected rows of values below it")
    return [reader.done() for reader in readers]


def _cells(line: str, delimiter: str) -> int:
    """The cells of a line, or 0 if it cannot be split."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        return 0


def _numbered(rows: Iterator[list[str]], start: int) -> Iterator[tuple[int, list[str]]]:
    """The rows with their numbers. A row that cannot be split is a ValueError with its number."""
    for number in itertools.count(start):
        try:
            yield number, next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"row {number} cannot be split into cells: {error}; check its quotation marks"
            ) from None


def _full(rows: Iterator[tuple[int, list[str]]], width: int) -> Iterator[list[str]]:
    """The rows without blank ones at the end; ValueError for a row of another width."""
    blank = 0
    for number, row in rows:
        if not row:
            blank = blank or number
            continue
        if blank:
            raise ValueError(f"row {blank} is empty, but rows follow it; remove the empty row")
        if len(row) != width:
            raise ValueError(
                f"row {number} has {len(row)} cells, but the header has {width}; add or remove "
                "cells, and quote those that contain the separator"
            )
        yield row


class _Numbers:
    """Collects a column of finite numbers."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.pieces: list[np.ndarray] = []

    def add(self, start: int, cells: list[str]) -> None:
        try:
            numbers = np.fromiter(map(float, cells), "float64", len(cells))
            good = np.isfinite(numbers).all() and "_" not in "".join(cells)
        except ValueError:
            good = False
        if not good:
            strays = (n for n, cell in enumerate(cells) if not _finite(cell))
            at = next(strays)
            refuse(start + at, self.column, cells[at], "number")
        self.pieces.append(numbers)

    def done(self) -> np.ndarray:
        return np.concatenate(self.pieces)


class _Names:
    """Collects a column of texts."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.so_far = NamesSoFar()

    def add(self, start: int, cells: list[str]) -> None:
        texts = [cell.strip() for cell in cells]
        if not all(texts):
            refuse(start + texts.index(""), self.column, "", "name")
        self.so_far.add(texts)

    def done(self) -> Names:
        return self.so_far.names()


class _Times:
    """Collects a column of times: all numbers, or all dates with or without a time of day."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.pieces: list[np.ndarray] = []
        self.dates: bool | None = None
        self.zoned: bool | None = None

    def add(self, start: int, cells: list[str]) -> None:
        if self.dates is None:
            self.dates = not _finite(cells[0])
        convert = self._microseconds if self.dates else float
        dtype = "int64" if self.dates else "float64"
        times = np.empty(len(cells), dtype)
        for n, cell in enumerate(cells):
            try:
                times[n] = convert(cell)
            except ValueError:
                times[n] = 0
                refuse(start + n, self.column, cell, "time")
            if not self.dates and not _finite(cell):
                refuse(start + n, self.column, cell, "time")
        self.pieces.append(times)

    def _microseconds(self, cell: str) -> int:
        time = datetime.datetime.fromisoformat(cell.strip())
        zoned = time.tzinfo is not None
        if self.zoned is None:
            self.zoned = zoned
        if zoned != self.zoned:
            raise ValueError("times with and without a zone cannot be compared")
        if zoned:
            time = (time - time.utcoffset()).replace(tzinfo=None)  # type: ignore[operator]
        return (time - _EPOCH) // datetime.timedelta(microseconds=1)

    def done(self) -> np.ndarray:
        return np.concatenate(self.pieces)


def _finite(cell: str) -> bool:
    """Whether a cell is a finite number as a spreadsheet writes it."""
    try:
        return "_" not in cell and bool(np.isfinite(float(cell)))
    except ValueError:
        return False


_READERS = {"number": _Numbers, "name": _Names, "time": _Times}
