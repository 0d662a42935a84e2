"""Reads a CSV or Parquet file into memory, with its rows ordered by series or sequence."""

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jlstm import validation
from jlstm.train.data.tables import csv_file, parquet_file, scaling
from jlstm.train.data.tables.columns import FIRST, Names, Wanted
from jlstm.train.data.tables.scaling import Scaling

ENDINGS = {
    ".csv": csv_file.read,
    ".tsv": csv_file.read,
    ".txt": csv_file.read,
    ".parquet": parquet_file.read,
    ".pq": parquet_file.read,
}

_SEVERAL = ", or name the column that tells apart what the rows belong to"


class Table(NamedTuple):
    """Rows of one file, ordered by group: a series or a sequence. A group has the file's order.

    Attributes:
      values: float64 [rows, columns], the columns of numbers.
      rows: int64 [rows], the number of each row as a spreadsheet shows it.
      groups: the names of the groups, in the order in which they first appear in the file. One
        empty name if no column names them.
      bounds: int64 [groups + 1], where the rows of each group begin, and where the last group ends.
      labels: the column of labels, if one was read.
    """

    values: np.ndarray
    rows: np.ndarray
    groups: tuple[str, ...]
    bounds: np.ndarray
    labels: Names | None


def read(
    path: str | os.PathLike[str],
    numbers: Sequence[str],
    *,
    group: str | None = None,
    time: str | None = None,
    label: str | None = None,
) -> Table:
    """Reads a CSV or Parquet file.

    Args:
      path: the file. Its name ends in .csv, .tsv, .txt, .parquet or .pq.
      numbers: the columns that hold numbers.
      group: the column that names the series or sequence of a row. None: all are of one.
      time: a column that must ascend from row to row within a group.
      label: a column of labels.

    Raises:
      ImportError: a Parquet file, and pyarrow is not installed.
      ValueError: a column is missing, or a cell is not as expected. The message has the row.
    """
    ending = pathlib.Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(
            f"cannot read {path}: its name ends in {ending!r}; expected a table in one of "
            f"{', '.join(ENDINGS)}: export a spreadsheet as CSV"
        )
    wanted = [Wanted(column, "number") for column in numbers]
    for column, kind in ((group, "name"), (time, "time"), (label, "name")):
        if column is not None:
            wanted.append(Wanted(column, kind))
    columns = ENDINGS[ending](path, wanted)
    values = np.stack([np.asarray(each) for each in columns[: len(numbers)]], axis=-1)
    others = iter(columns[len(numbers) :])
    groups = next(others) if group is not None else Names(np.zeros(len(values), "int32"), ("",))
    times = next(others) if time is not None else None
    labels = next(others) if label is not None else None
    assert isinstance(groups, Names)
    order = np.argsort(groups.codes, kind="stable")
    bounds = np.searchsorted(groups.codes[order], np.arange(len(groups.texts) + 1))
    rows = order + FIRST
    if labels is not None:
        assert isinstance(labels, Names)
        labels = labels._replace(codes=labels.codes[order])
    whole = np.array_equal(order, np.arange(len(order)))
    table = Table(values if whole else values[order], rows, groups.texts, bounds, labels)
    if times is not None:
        _require_ascending(str(time), np.asarray(times)[order], table)
    return table


def normalised(table: Table, fitted: Scaling, columns: Sequence[str]) -> np.ndarray:
    """The normalised values of a table, float32 [rows, columns].

    Raises:
      ValueError: a value is so far from the training rows that float32 cannot hold it.
    """
    values = scaling.apply(fitted, table.values)
    strays = np.argwhere(~np.isfinite(values))
    if len(strays):
        row, column = strays[0]
        raise ValueError(
            f"row {table.rows[row]}, column {validation.shown(columns[column])}, is "
            f"{table.values[row, column]:g}, too far from the values to train on; correct it"
        )
    return values


def first_within(rows: Table, flags: np.ndarray) -> tuple[int, str] | None:
    """The first row that is flagged against the row before it in its group, and the group's name.

    Args:
      rows: the table.
      flags: bool [rows - 1], for each row but the first. Those where a group begins do not count.
    """
    flags = flags.copy()
    flags[rows.bounds[1:-1] - 1] = False
    if not flags.any():
        return None
    at = int(flags.argmax()) + 1
    return at, rows.groups[int(np.searchsorted(rows.bounds, at, side="right")) - 1]


def _require_ascending(column: str, times: np.ndarray, table: Table) -> None:
    found = first_within(table, times[1:] <= times[:-1])
    if found is None:
        return
    (at, name), rows = found, table.rows
    where = f"row {rows[at]}, column {validation.shown(column)}"
    of = f" of {validation.shown(name)}" if name else ""
    if times[at] == times[at - 1]:
        raise ValueError(
            f"{where}, has the same time as row {rows[at - 1]}{of}; remove one of the "
            f"rows{_SEVERAL}"
        )
    raise ValueError(
        f"{where}, is earlier than row {rows[at - 1]}{of}; sort the file by "
        f"{validation.shown(column)}{_SEVERAL}"
    )
