"""Series of numbers over time, such as sales by day: windows to forecast from."""

import numpy as np

from jlstm import sizes, validation
from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.data.tables import options, scaling, table
from jlstm.train.data.tables.table import Table


def series(
    *,
    file: str,
    targets: str | list[str],
    history: int,
    horizon: int = 1,
    inputs: str | list[str] | None = None,
    time: str | None = None,
    series: str | None = None,
    stride: int = 1,
    valid: float | int = 0.1,
    test: float | int = 0.2,
) -> Data:
    """Windows of one or several series in a CSV or Parquet file, to forecast from.

    A row of the file is a step of time. The last rows of each series are for testing, those before
    them for validation, the others for training. Training windows end where validation begins. The
    inputs of a validation or test window may begin before its part, as they do in use, but all of
    its targets are within the part. Each series is divided by itself.

    Inputs and targets are normalised by the mean and the standard deviation of each column over the
    training rows of all series.

    For a single series, xs and targets are read-only views of its rows, so long windows take no
    memory. Indexing them with an array copies. For several series they are copies.

    Args:
      file: the file.
      targets: the column or columns to forecast.
      history: input steps of a window.
      horizon: steps to forecast after them.
      inputs: the columns that the network sees. None: the targets.
      time: a column of times. They must ascend from row to row in each series.
      series: the column that names the series of a row. None: the file is one series.
      stride: rows from the start of a window to that of the next.
      valid, test: a fraction of the rows of each series, or a number of rows of each.

    Returns:
      Splits with xs float32 [N, history, inputs] and targets float32 [N, horizon, targets].

    Raises:
      ImportError: a Parquet file, and pyarrow is not installed.
      TypeError, ValueError: an option or the file is not as expected. The message has the row.
    """
    file = options.path("file", file)
    wanted = options.columns("targets", targets)
    seen = wanted if inputs is None else options.columns("inputs", inputs)
    for name, value in (("history", history), ("horizon", horizon), ("stride", stride)):
        validation.size(name, value)
    shares = options.share("valid", valid), options.share("test", test)
    with validation.plain_errors(file):
        columns = list(dict.fromkeys(seen + wanted))
        rows = table.read(
            file,
            columns,
            group=options.optional_column("series", series),
            time=options.optional_column("time", time),
        )
        ends = [
            _ends(name, int(n), history, horizon, *shares)
            for name, n in zip(rows.groups, np.diff(rows.bounds), strict=True)
        ]
        chosen = [rows.values[at : at + end[0]] for at, end in zip(rows.bounds, ends, strict=False)]
        fitted = scaling.fit(np.concatenate(chosen))
        values = table.normalised(rows, fitted, columns)
        at_inputs = [columns.index(name) for name in seen]
        at_targets = [columns.index(name) for name in wanted]
        xs = values if at_inputs == list(range(len(columns))) else values[:, at_inputs]
        ys = values if at_targets == list(range(len(columns))) else values[:, at_targets]
        parts = [
            _windows(xs, ys, _starts(rows, ends, part, history), history, horizon, stride)
            for part in range(3)
        ]
    meaning = scaling.with_scaling(
        Meaning(inputs=seen, targets=wanted),
        inputs=fitted.chosen(at_inputs),
        targets=fitted.chosen(at_targets),
    )
    train = parts[0]
    assert train is not None
    return Data(train, parts[1], parts[2], meaning)


def _ends(
    name: str, rows: int, history: int, horizon: int, valid: float | int, test: float | int
) -> tuple[int, int, int]:
    """Where the three parts of a series end, by rows of it; ValueError if one holds no window."""
    whose = f"series {validation.shown(name)}" if name else "the file"
    counts = {"valid": options.count(valid, rows), "test": options.count(test, rows)}
    for part, share in (("valid", valid), ("test", test)):
        if share and counts[part] < horizon:
            raise ValueError(
                f"{part} = {share} leaves {counts[part]} of the {rows} rows of {whose}, fewer than "
                f"the horizon of {horizon}; set {part} to at least {horizon}, or to 0 to do without"
            )
    left = rows - sum(counts.values())
    if left < history + horizon:
        raise ValueError(
            f"{whose} has {rows} rows, and {max(left, 0)} of them to train on, but a window has "
            f"{history + horizon}: history {history} and horizon {horizon}; choose a shorter "
            "history, a smaller valid or test, or leave the series out"
        )
    return left, left + counts["valid"], rows


def _starts(
    rows: Table, ends: list[tuple[int, int, int]], part: int, history: int
) -> list[tuple[int, int]]:
    """The rows where the windows of a part begin in each series, and where their targets end."""
    spans = []
    for begin, each in zip(rows.bounds, ends, strict=False):
        first = max(each[part - 1] - history, 0) if part else 0
        if not part or each[part] > each[part - 1]:
            spans.append((int(begin) + first, int(begin) + each[part]))
    return spans


def _windows(
    xs: np.ndarray,
    ys: np.ndarray,
    spans: list[tuple[int, int]],
    history: int,
    horizon: int,
    stride: int,
) -> Split | None:
    """All windows within spans of rows; None if there are no spans."""
    if not spans:
        return None
    views = [
        Split(
            _views(xs[begin : end - horizon], history)[::stride],
            _views(ys[begin + history : end], horizon)[::stride],
        )
        for begin, end in spans
    ]
    if len(views) == 1:
        return views[0]
    size = sum(view.xs.nbytes + view.targets.nbytes for view in views)
    try:
        sizes.require_memory("copying the windows of all series", size)
    except ValueError as error:
        raise ValueError(f"{error}, such as a larger stride or a shorter history") from None
    return Split(
        np.concatenate([view.xs for view in views]),
        np.concatenate([view.targets for view in views]),
    )


def _views(values: np.ndarray, steps: int) -> np.ndarray:
    """All windows [rows - steps + 1, steps, columns] of values [rows, columns], as a view."""
    shape = (steps, values.shape[1])
    return np.lib.stride_tricks.sliding_window_view(values, shape)[:, 0]
