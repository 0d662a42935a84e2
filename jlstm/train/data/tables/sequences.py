"""Tables whose rows are steps of sequences, such as recordings."""

from typing import NamedTuple

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.data.tables import classes, options, ragged, scaling, table
from jlstm.train.data.tables.scaling import Scaling
from jlstm.train.data.tables.table import Table


class _Columns(NamedTuple):
    sequence: str
    inputs: tuple[str, ...]
    label: str | None
    targets: tuple[str, ...]
    time: str | None
    per_step: bool

    @property
    def numbers(self) -> list[str]:
        return list(dict.fromkeys(self.inputs + self.targets))


def sequences(
    *,
    file: str,
    sequence: str,
    inputs: str | list[str],
    label: str | None = None,
    targets: str | list[str] | None = None,
    per_step: bool = False,
    time: str | None = None,
    valid: float | int | None = None,
    test: float | int | None = None,
    valid_file: str | None = None,
    test_file: str | None = None,
    seed: int = 0,
) -> Data:
    """Sequences in a CSV or Parquet file, for the tasks classify, label and regress.

    Each row is a step of a sequence. The rows of a sequence are in the order of its steps. Rows of
    other sequences may stand between them. Shorter sequences are padded. Inputs and targets are
    normalised by the mean and the standard deviation of each column over the steps of the training
    sequences.

    Args:
      file: the file.
      sequence: the column that names the sequence of a row.
      inputs: the columns that the network sees.
      label: the column of labels, texts or whole numbers, to classify sequences or to label steps.
      targets: instead of `label`, the column or columns of values to predict for each sequence. All
        rows of a sequence have the same.
      per_step: each step has a label. False: all rows of a sequence have the same label.
      time: a column of times. They must ascend in each sequence.
      valid, test: a fraction of the sequences, or their number, drawn at random. None: 0.1 and 0.2,
        or nothing is drawn if a separate file holds the part.
      valid_file, test_file: files with the same columns for these parts.
      seed: seed of the drawing.

    Returns:
      Splits with xs float32 [N, T, inputs], lengths, and targets int32 [N], int32 [N, T] with
      `per_step`, or float32 [N, targets].

    Raises:
      ImportError: a Parquet file, and pyarrow is not installed.
      TypeError, ValueError: an option or a file is not as expected. The message has the row.
    """
    if (label is None) == (targets is None):
        raise ValueError(
            f"label is {validation.shown(label)} and targets is {validation.shown(targets)}; "
            "expected one of them: label to classify, targets to predict values"
        )
    columns = _Columns(
        options.column("sequence", sequence),
        options.columns("inputs", inputs),
        options.optional_column("label", label),
        () if targets is None else options.columns("targets", targets),
        options.optional_column("time", time),
        validation.boolean("per_step", per_step),
    )
    if columns.per_step and label is None:
        raise ValueError("per_step is for labels; name the column of labels in label")
    validation.number("seed", validation.integer("seed", seed), low=0, below=2**32)
    file = options.path("file", file)
    files = {"valid": valid_file, "test": test_file}
    shares = {
        "valid": options.share_or("valid", valid, 0.1, "valid_file" if valid_file else ""),
        "test": options.share_or("test", test, 0.2, "test_file" if test_file else ""),
    }
    with validation.plain_errors(file):
        rows = _read(file, columns)
        names = classes.names(rows.labels.texts) if rows.labels else ()
        if len(names) == 1:
            raise ValueError(
                f"column {validation.shown(label)} has the one label {validation.shown(names[0])}; "
                "expected at least two classes"
            )
        drawn = ragged.parts(len(rows.groups), shares["valid"], shares["test"], seed)
        fitted = scaling.fit(np.concatenate([rows.values[s] for s in _slices(rows, drawn[0])]))
        splits = {
            part: _split(rows, columns, names, fitted, chosen) if len(chosen) else None
            for part, chosen in zip(("train", "valid", "test"), drawn, strict=True)
        }
    for part, path in files.items():
        if path is not None:
            with validation.plain_errors(path):
                others = _read(options.path(f"{part}_file", path), columns)
                every = np.arange(len(others.groups))
                splits[part] = _split(others, columns, names, fitted, every)
    train = splits["train"]
    assert train is not None
    return Data(train, splits["valid"], splits["test"], _meaning(columns, names, fitted))


def _read(path: str, columns: _Columns) -> Table:
    rows = table.read(
        path, columns.numbers, group=columns.sequence, time=columns.time, label=columns.label
    )
    ragged.require_alike(rows.bounds, rows.groups, 4 * len(columns.inputs))
    if rows.labels:
        classes.require_names(rows, str(columns.label))
    if rows.labels and not columns.per_step:
        remedy = "give all its rows one label, or set per_step = true to label each step"
        classes.require_constant(rows, str(columns.label), rows.labels.codes, remedy)
    for name in columns.targets:
        values = rows.values[:, columns.numbers.index(name)]
        remedy = "give all its rows the same value: it is what is predicted for the sequence"
        classes.require_constant(rows, name, values, remedy)
    return rows


def _split(
    rows: Table, columns: _Columns, names: tuple[str, ...], fitted: Scaling, chosen: np.ndarray
) -> Split:
    values = table.normalised(rows, fitted, columns.numbers)
    xs, lengths = ragged.padded(values[:, : len(columns.inputs)], rows.bounds, chosen)
    first = rows.bounds[chosen]
    if columns.label is None:
        targets = values[first][:, [columns.numbers.index(name) for name in columns.targets]]
    else:
        found = classes.numbers(rows, names, columns.label)
        if columns.per_step:
            targets, _ = ragged.padded(found, rows.bounds, chosen, fill=-1)
        else:
            targets = found[first]
    return Split(xs, targets, lengths)


def _slices(rows: Table, chosen: np.ndarray) -> list[slice]:
    return [slice(rows.bounds[n], rows.bounds[n + 1]) for n in chosen]


def _meaning(columns: _Columns, names: tuple[str, ...], fitted: Scaling) -> Meaning:
    return scaling.with_scaling(
        Meaning(classes=names, inputs=columns.inputs, targets=columns.targets),
        inputs=fitted.chosen(list(range(len(columns.inputs)))),
        targets=fitted.chosen([columns.numbers.index(name) for name in columns.targets]),
    )
