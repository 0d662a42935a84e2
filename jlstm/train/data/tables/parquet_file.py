"""Reads columns of a Parquet file, after checking the sizes that the file claims."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm import sizes, validation
from jlstm.train.data.tables.columns import FIRST, Names, NamesSoFar, Wanted, refuse, require

_LITTLE = 1 << 24  # bytes that may unpack from any size
# Of unpacked to packed bytes. A flag can be one bit of the file, and is 8 bytes in memory.
_LARGEST_RATIO = 1000
_ROWS = 1 << 16  # rows that are read at once


def read(path: str | os.PathLike[str], wanted: Sequence[Wanted]) -> list[np.ndarray | Names]:
    """Reads the wanted columns of a Parquet file. Returns what `csv_file.read` returns.

    Raises:
      ImportError: pyarrow is not installed.
      ValueError: the file cannot be read, or a value is not as expected. The message has the row,
        counted as if the file were a spreadsheet with the names of columns in row 1.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ImportError(
            "Parquet files need pyarrow, which is not installed: pip install pyarrow"
        ) from None
    try:
        # Texts stay codes: decoding a long text that a million rows share would fill the memory.
        coded = [column for column, kind in wanted if kind == "name"]
        with (
            open(path, "rb") as opened,
            parquet.ParquetFile(opened, read_dictionary=coded) as file,
        ):
            return _read(file, os.path.getsize(path), wanted)
    except OSError as error:
        if error.strerror is not None:
            raise ValueError(f"cannot read {path}: {error.strerror}") from None
        raise ValueError(f"{path} is damaged or not a Parquet file: {error}") from None
    except (pyarrow.ArrowException, KeyError) as error:  # KeyError: its two schemas differ
        raise ValueError(f"{path} is damaged or not a Parquet file: {error}") from None


def _read(file: Any, size: int, wanted: Sequence[Wanted]) -> list[np.ndarray | Names]:
    schema = file.schema_arrow
    require(list(schema.names), wanted)
    for column, kind in wanted:
        _require_type(column, kind, schema.field(column).type)
    rows = file.metadata.num_rows
    if rows < 1:
        raise ValueError("the file has no rows; expected rows of values")
    groups = (file.metadata.row_group(n) for n in range(file.metadata.num_row_groups))
    unpacked = max(sum(each.total_byte_size for each in groups), 8 * rows * len(wanted))
    if unpacked > max(_LITTLE, _LARGEST_RATIO * size):
        raise ValueError(
            f"its {rows} rows would need {unpacked} bytes of memory, from a file of {size}; "
            "expected fewer: write the file without compression"
        )
    sizes.require_memory("reading the file", unpacked)
    collected: list[list[np.ndarray] | NamesSoFar] = [
        NamesSoFar() if kind == "name" else [] for _, kind in wanted
    ]
    start = FIRST
    names = list(dict.fromkeys(column for column, _ in wanted))
    for batch in file.iter_batches(batch_size=_ROWS, columns=names):
        batch.validate(full=True)  # codes of damaged pages may be beyond their texts
        for (column, kind), into in zip(wanted, collected, strict=True):
            values = batch.column(column)
            if values.null_count:
                at = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
                refuse(start + at, column, "", kind)
            if isinstance(into, NamesSoFar):
                into.add_coded(*_texts(values, column, start))
            else:
                into.append(_numbers(values, column, kind, start))
        start += batch.num_rows
    return [
        into.names() if isinstance(into, NamesSoFar) else np.concatenate(into) for into in collected
    ]


def _require_type(column: str, kind: str, found: Any) -> None:
    """ValueError if the values of a column cannot be what is wanted."""
    from pyarrow import types

    if types.is_dictionary(found):
        found = found.value_type
    number = any(
        is_kind(found)
        for is_kind in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    )
    text = types.is_string(found) or types.is_large_string(found)
    time = types.is_timestamp(found) or types.is_date(found)
    good = {"number": number, "name": number or text, "time": number or time}[kind]
    if not good:
        remedy = {
            "number": "write its values as numbers, or leave the column out",
            "name": "write its values as texts or whole numbers",
            "time": "write its values as timestamps, dates or numbers",
        }[kind]
        raise ValueError(
            f"column {validation.shown(column)} has the type {validation.shortened(str(found))}, "
            f"where a {kind} is expected; {remedy}"
        )


def _texts(values: Any, column: str, start: int) -> tuple[np.ndarray, list[str]]:
    """The code of each row, and the texts by code."""
    import pyarrow
    from pyarrow import types

    if not types.is_dictionary(values.type):
        values = values.dictionary_encode()
    texts = [(text or "").strip() for text in values.dictionary.cast(pyarrow.string()).to_pylist()]
    codes = values.indices.to_numpy(zero_copy_only=False)
    empty = np.array([not text for text in texts], bool)[codes]
    if empty.any():
        refuse(start + int(np.flatnonzero(empty)[0]), column, "", "name")
    return codes, texts


def _numbers(values: Any, column: str, kind: str, start: int) -> np.ndarray:
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if types.is_timestamp(values.type) or types.is_date64(values.type):
        return values.cast(pyarrow.int64()).to_numpy()
    if types.is_date(values.type):
        return values.cast(pyarrow.int32()).to_numpy().astype("int64")
    if kind == "time" and types.is_integer(values.type):
        return values.to_numpy()  # float64 would round large counts of nanoseconds
    if types.is_boolean(values.type):
        values = values.cast(pyarrow.uint8())
    numbers = values.cast(pyarrow.float64(), safe=False).to_numpy(zero_copy_only=False)
    if not np.isfinite(numbers).all():
        at = int(np.flatnonzero(~np.isfinite(numbers))[0])
        refuse(start + at, column, str(numbers[at]), "number")
    return numbers
