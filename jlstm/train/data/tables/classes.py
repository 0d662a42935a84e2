"""Classes of rows: their names in order, and the number of each row's class."""

from collections.abc import Collection

import numpy as np

from jlstm import validation
from jlstm.train.data.tables.table import Table, first_within


def names(labels: Collection[str]) -> tuple[str, ...]:
    """Names of classes in their order: by number if all are whole numbers, else by text.

    >>> names(["10", "9", "-1"]), names(["b", "10", "9"])
    (('-1', '9', '10'), ('10', '9', 'b'))
    """
    try:
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    except ValueError:
        return tuple(sorted(labels))


def numbers(rows: Table, classes: tuple[str, ...], column: str) -> np.ndarray:
    """The class of each row, int32 [rows].

    Raises:
      ValueError: a label is not among the classes. The message has the row.
    """
    assert rows.labels is not None
    known = {name: n for n, name in enumerate(classes)}
    by_code = np.array([known.get(text, -1) for text in rows.labels.texts], "int32")
    found = by_code[rows.labels.codes]
    if (found < 0).any():
        where, label = _first(rows, column, found < 0)
        raise ValueError(
            f"{where}, is {validation.shown(label)}, a label that the training file does not have; "
            f"{validation.nearest(label, classes)}"
        )
    return found


def require_names(rows: Table, column: str) -> None:
    """ValueError if labels are measured numbers, such as 0.25, with the first such row.

    Each different number would be a class. Whole numbers, such as 3 or 3.0, may stand for classes,
    and so may numbers beside labels that are texts.
    """
    assert rows.labels is not None
    try:
        values = np.array([float(text) for text in rows.labels.texts])
    except ValueError:
        return
    whole = np.isfinite(values) & (values == np.floor(values))
    if not whole.all():
        where, label = _first(rows, column, ~whole[rows.labels.codes])
        raise ValueError(
            f"{where}, is {validation.shown(label)}, and each of its {len(values)} different "
            "numbers would be a class; to predict numbers, name the column in targets instead of "
            'label, with the task "regress"; to classify, round them, or write labels as texts'
        )


def _first(rows: Table, column: str, strays: np.ndarray) -> tuple[str, str]:
    """Where the first of the rows with stray labels is in the file, in words, and its label."""
    assert rows.labels is not None
    places = np.flatnonzero(strays)
    at = places[rows.rows[places].argmin()]
    where = f"row {rows.rows[at]}, column {validation.shown(column)}"
    return where, rows.labels.texts[rows.labels.codes[at]]


def require_constant(rows: Table, column: str, values: np.ndarray, remedy: str) -> None:
    """ValueError if a column changes within a sequence, with the first such row."""
    if (found := first_within(rows, values[1:] != values[:-1])) is not None:
        at, name = found
        raise ValueError(
            f"row {rows.rows[at]}, column {validation.shown(column)}, differs from row "
            f"{rows.rows[at - 1]} of the same sequence {validation.shown(name)}; {remedy}"
        )
