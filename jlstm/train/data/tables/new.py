"""New sequences for a trained model to predict from."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Meaning
from jlstm.train.data.tables import array_checks, arrays, options, ragged, scaling, table
from jlstm.train.data.tables.table import Table


class New(NamedTuple):
    """Sequences to predict from.

    Attributes:
      xs: normalised float32 [N, T, features], or tokens int32 [N, T], padded with 0.
      lengths: int32 [N]. None: all have T steps.
      names: what the sequences are called in the file, or their numbers from 0.
      column: the column that names them; without one, "series" or "sequence".
    """

    xs: np.ndarray
    lengths: np.ndarray | None
    names: tuple[str, ...]
    column: str


def read(path: str | os.PathLike[str], data: Mapping[str, Any], meaning: Meaning) -> New:
    """Reads a file of new sequences for a model.

    A table needs the input columns of the training data, and the columns `series` or `sequence`,
    and `time`, as far as the training data had them. Labels and targets are not read. Of each
    series, the last `history` rows are read. An .npz file needs `xs`, and `lengths` if sequences
    are padded.

    Args:
      path: the file.
      data: the table [data] of the model's config.
      meaning: the meaning of the training data, with its normalisation.

    Raises:
      ImportError: a Parquet file, and pyarrow is not installed.
      ValueError: the file is not as expected. The message has the row.
    """
    with validation.plain_errors(path):
        if pathlib.Path(path).suffix.lower() == ".npz":
            return _arrays(path, meaning)
        source = data.get("source")
        if source == "series":
            return _series(path, data, meaning)
        if source == "sequences":
            return _sequences(path, data, meaning)
        raise ValueError(
            f"a model that was trained on {validation.shown(source)} reads new sequences from the "
            f"arrays xs and lengths of an .npz file; got {path}"
        )


def _series(path: str | os.PathLike[str], data: Mapping[str, Any], meaning: Meaning) -> New:
    column = options.optional_column("series", data.get("series"))
    history = validation.size("history", data.get("history"))
    rows = _rows(path, column, data, meaning)
    for name, n in zip(rows.groups, np.diff(rows.bounds), strict=True):
        if n < history:
            whose = f"series {validation.shown(name)}" if name else "the file"
            raise ValueError(
                f"{whose} has {n} rows, but the model forecasts from the last {history}; add "
                "earlier rows"
            )
    values = _normalised(rows, meaning)
    xs = np.stack([values[end - history : end] for end in rows.bounds[1:]])
    return New(xs, None, rows.groups if column else ("0",), column or "series")


def _sequences(path: str | os.PathLike[str], data: Mapping[str, Any], meaning: Meaning) -> New:
    column = options.column("sequence", data.get("sequence"))
    rows = _rows(path, column, data, meaning)
    ragged.require_alike(rows.bounds, rows.groups, 4 * len(meaning.inputs))
    xs, lengths = ragged.padded(
        _normalised(rows, meaning), rows.bounds, np.arange(len(rows.groups))
    )
    return New(xs, lengths, rows.groups, column)


def _arrays(path: str | os.PathLike[str], meaning: Meaning) -> New:
    xs, lengths = array_checks.inputs(array_checks.read(path, ("xs",)), "")
    xs = arrays.normalised_inputs(xs, lengths, meaning, "xs")
    return New(xs, lengths, tuple(map(str, range(len(xs)))), "sequence")


def _rows(
    path: str | os.PathLike[str], group: str | None, data: Mapping[str, Any], meaning: Meaning
) -> Table:
    time = options.optional_column("time", data.get("time"))
    return table.read(path, meaning.inputs, group=group, time=time)


def _normalised(rows: Table, meaning: Meaning) -> np.ndarray:
    fitted = scaling.of_inputs(meaning)
    if fitted is None:
        raise ValueError(
            "the model does not hold the normalisation of its inputs; pass the model file that "
            "`jlstm train` wrote"
        )
    return table.normalised(rows, fitted, meaning.inputs)
