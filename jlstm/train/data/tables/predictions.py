"""Writes predictions to a CSV or Parquet file, with names and in the units of the data."""

import csv
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.files import writing
from jlstm.train.data.split import Meaning
from jlstm.train.data.tables import scaling
from jlstm.train.data.tables.new import New

_Columns = list[tuple[str, Sequence[Any] | np.ndarray]]


def write(path: str | os.PathLike[str], columns: _Columns) -> None:
    """Writes columns to a file atomically. Its name ends in .csv or .parquet.

    If two columns have the same name, the second gets a number: "step (2)".

    Raises:
      ImportError: a Parquet file, and pyarrow is not installed.
      ValueError: the name has another ending.
      OSError: the file cannot be written.
    """
    require_ending(path)
    names = _distinct([name for name, _ in columns])
    values = [each for _, each in columns]
    if pathlib.Path(path).suffix.lower() == ".csv":
        writing.write_by(path, lambda beside: _write_csv(beside, names, values), ".csv")
    else:
        writing.write_by(path, lambda beside: _write_parquet(beside, names, values), ".parquet")


def require_ending(path: str | os.PathLike[str]) -> None:
    """ValueError if predictions cannot be written to a file of that name.

    Raises:
      ImportError: a Parquet file, and pyarrow is not installed.
    """
    ending = pathlib.Path(path).suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise ValueError(
            f"cannot write {path}: its name ends in {ending!r}; expected .csv or .parquet"
        )
    if ending == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise ImportError(
                "Parquet files need pyarrow, which is not installed: pip install pyarrow, or "
                "write a .csv file"
            ) from None


def classes(new: New, meaning: Meaning, probabilities: np.ndarray) -> _Columns:
    """A row for each sequence: its likeliest class, and the probability of each.

    Args:
      new: the sequences.
      meaning: the names of classes.
      probabilities: [N, classes].
    """
    columns: _Columns = [(new.column, new.names)]
    return columns + _of_classes(meaning, probabilities)


def labels(new: New, meaning: Meaning, probabilities: np.ndarray) -> _Columns:
    """A row for each step of each sequence: its likeliest class, and the probability of each.

    Steps count from 1, and padding is left out.

    Args:
      new: the sequences.
      meaning: the names of classes.
      probabilities: [N, T, classes].
    """
    count, steps = new.xs.shape[:2]
    lengths = np.full(count, steps) if new.lengths is None else new.lengths
    inside = np.arange(steps) < lengths[:, None]
    columns: _Columns = [
        (new.column, [name for name, n in zip(new.names, lengths, strict=True) for _ in range(n)]),
        ("step", np.broadcast_to(np.arange(1, steps + 1), inside.shape)[inside]),
    ]
    return columns + _of_classes(meaning, np.asarray(probabilities)[inside])


def values(new: New, meaning: Meaning, predictions: np.ndarray) -> _Columns:
    """A row for each sequence: the predicted values in raw units.

    Args:
      new: the sequences.
      meaning: names and normalisation of the values.
      predictions: normalised, [N, values].
    """
    raw = _raw(meaning, predictions)
    names = _target_names(meaning, raw.shape[-1])
    columns: _Columns = [(new.column, new.names)]
    return columns + [(name, raw[:, n]) for n, name in enumerate(names)]


def forecasts(
    new: New, meaning: Meaning, predictions: np.ndarray, quantiles: Sequence[float] = ()
) -> _Columns:
    """A row for each step ahead of each series: the forecast values in raw units.

    Steps count from 1, the step after the last row. With quantiles, each has a column, such as
    "load 0.9".

    Args:
      new: the series.
      meaning: names and normalisation of the values.
      predictions: normalised, [N, horizon, values, outputs], with an output for each quantile, or
        one if there are none.
      quantiles: the quantiles.
    """
    raw = _raw(meaning, np.moveaxis(np.asarray(predictions), -1, -2))
    count, horizon, _, values = raw.shape
    columns: _Columns = [
        (new.column, [name for name in new.names for _ in range(horizon)]),
        ("step", np.tile(np.arange(1, horizon + 1), count)),
    ]
    kinds = [f" {quantile:g}" for quantile in quantiles] or [""]
    return columns + [
        (f"{name}{kind}", raw[:, :, output, n].ravel())
        for n, name in enumerate(_target_names(meaning, values))
        for output, kind in enumerate(kinds)
    ]


def _of_classes(meaning: Meaning, probabilities: np.ndarray) -> _Columns:
    probabilities = np.asarray(probabilities, "float64")
    likeliest = [meaning.classes[n] for n in probabilities.argmax(-1)]
    columns: _Columns = [("class", likeliest)]
    return columns + [
        (f"probability of {name}", probabilities[:, n]) for n, name in enumerate(meaning.classes)
    ]


def _raw(meaning: Meaning, predictions: np.ndarray) -> np.ndarray:
    fitted = scaling.of_targets(meaning)
    if fitted is None:
        return np.asarray(predictions, "float64")
    return scaling.undo(fitted, predictions)


def _target_names(meaning: Meaning, count: int) -> Sequence[str]:
    """The names of predicted values: those of the data, or numbers."""
    return meaning.targets or [f"value {n}" if count > 1 else "value" for n in range(count)]


def _distinct(names: list[str]) -> list[str]:
    """The names; a later one that is taken gets a number.

    >>> _distinct(["step", "load", "step"])
    ['step', 'load', 'step (2)']
    """
    taken: list[str] = []
    for name in names:
        other, n = name, 2
        while other in taken:
            other, n = f"{name} ({n})", n + 1
        taken.append(other)
    return taken


def _write_csv(path: pathlib.Path, names: list[str], columns: list[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(zip(*map(_cells, columns), strict=True))


def _cells(column: Sequence[Any] | np.ndarray) -> Sequence[Any]:
    """The cells of a column. Predictions are float32, so more than 9 digits would be noise."""
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        return [f"{value:.9g}" for value in column.tolist()]
    return column if not isinstance(column, np.ndarray) else column.tolist()


def _write_parquet(path: pathlib.Path, names: list[str], columns: list[Any]) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table([pyarrow.array(each) for each in columns], names), path)
