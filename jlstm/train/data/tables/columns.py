"""The columns to read from a table, and errors that name a cell.

Rows are numbered as in a spreadsheet: the header is row 1, and the first row of values is row 2.
"""

import math
import re
from collections.abc import Collection, Iterable
from typing import NamedTuple, NoReturn

import numpy as np

from jlstm import validation

FIRST = 2  # the row of the first values


class Wanted(NamedTuple):
    """A column to read.

    Attributes:
      column: its name in the header.
      kind: "number", "name" (a label, or what a sequence is called) or "time".
    """

    column: str
    kind: str


class Names(NamedTuple):
    """A column of texts.

    Attributes:
      codes: int32 [rows], which of `texts` each row has.
      texts: the different texts in the order in which they first appear.
    """

    codes: np.ndarray
    texts: tuple[str, ...]


class NamesSoFar:
    """Collects a column of texts in pieces, and numbers them in the order of first appearance."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.pieces: list[np.ndarray] = []

    def add(self, texts: Iterable[str]) -> None:
        """Appends rows."""
        self.pieces.append(self._numbers(texts))

    def add_coded(self, codes: np.ndarray, texts: list[str]) -> None:
        """Appends rows of which each has one of `texts`."""
        used, first = np.unique(codes, return_index=True)
        used = used[np.argsort(first)]
        table = np.zeros(len(texts), "int32")
        table[used] = self._numbers(texts[n] for n in used)
        self.pieces.append(table[codes])

    def _numbers(self, texts: Iterable[str]) -> np.ndarray:
        codes = self.codes
        return np.array([codes.setdefault(t, len(codes)) for t in texts], "int32")

    def names(self) -> Names:
        """All rows so far."""
        return Names(np.concatenate(self.pieces), tuple(self.codes))


def require(header: list[str], wanted: Collection[Wanted]) -> None:
    """ValueError if a wanted column is missing, or if two columns have its name."""
    for column, _ in wanted:
        if column not in header:
            parts = [part.strip() for part in column.split(",")]
            hint = validation.nearest(column, set(header))
            if len(parts) > 1 and set(parts) <= set(header):
                hint = f"write several columns as a list: {validation.shown(parts)}"
            raise ValueError(f"row 1, the header, has no column {validation.shown(column)}; {hint}")
        if header.count(column) > 1:
            raise ValueError(
                f"row 1, the header, has the column {validation.shown(column)} "
                f"{header.count(column)} times; rename all but one"
            )


def refuse(row: int, column: str, cell: str, kind: str) -> NoReturn:
    """ValueError for a cell that is not what its column should hold.

    Args:
      row: the row as a spreadsheet shows it.
      column: the column's name.
      cell: what the cell holds.
      kind: what was expected, as in `Wanted`.
    """
    where = f"row {row}, column {validation.shown(column)}"
    text = cell.strip()
    if not text:
        raise ValueError(f"{where}, is empty; fill the cell, or remove the row")
    if kind == "time":
        raise ValueError(
            f"{where}, is {validation.shown(text)}, which is not a time, or not of the form of "
            "those above it; write all as numbers, or all like 2026-01-31 or 2026-01-31T12:30:00"
        )
    if text.lower() in ("na", "n/a", "nan", "none", "null", "-nan", "#n/a", "-", "?"):
        raise ValueError(
            f"{where}, is {validation.shown(text)}, a missing value; fill the cell, such as with "
            "the value before it, or remove the row"
        )
    if _infinite(text):
        raise ValueError(
            f"{where}, is {validation.shown(text)}; replace it by a finite number, or remove the "
            "row"
        )
    if re.fullmatch(r"[+-]?[\d.]*,\d+", text):
        remedy = "write a decimal point instead of the comma"
    else:
        remedy = "replace it, write the column's texts as numbers, or leave the column out"
    raise ValueError(f"{where}, is {validation.shown(text)}, which is not a number; {remedy}")


def _infinite(text: str) -> bool:
    """Whether a text is infinity, or a number beyond float64."""
    try:
        return math.isinf(float(text))
    except ValueError:
        return False
