"""TensorFlow checkpoints of the format V1, which Saver wrote before TensorFlow 1.0.

A checkpoint is one file, a table of LevelDB whose values are messages SavedTensorSlices. The first
key is empty, and its value describes all variables. Each further key is the name of a variable and
of a slice of it, in the form of tensorflow/core/lib/strings/ordered_code.h. The formats come from
tensorflow/core/util/saved_tensor_slice.proto and saved_tensor_slice_util.cc.
"""

import bisect
import itertools
import math
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from jlstm.interop.protobuf import BYTES, contents, fields, values
from jlstm.interop.tensorflow import table

_LARGEST = 1 << 20  # bytes of the description; a variable takes some 60
_MOST = 20_000  # variables; real checkpoints have some hundred
_MOST_AXES = 254  # as TensorFlow allows
_MOST_FIELDS = 16  # of a message with a variable's values; it has four
_VALUES = {1: ("float32", 5), 2: ("float64", 6)}  # by TensorFlow's dtype: the field of the values


class Variable(NamedTuple):
    """What the file says of a variable. `whole` is False for one that is saved in slices."""

    dtype: int
    shape: tuple[int, ...]
    whole: bool


class Saved(NamedTuple):
    """A checkpoint: its bytes, the variables by name, and the last key and handle of each block."""

    data: memoryview
    variables: Mapping[str, Variable]
    blocks: list[tuple[bytes, bytes]]


def opened(path: str) -> Saved:
    """Reads what a checkpoint holds, and none of the values.

    Raises:
      OSError, ValueError, IndexError, TypeError: the file cannot be read, or is damaged.
    """
    data = np.memmap(pathlib.Path(path), np.uint8, "r").data
    blocks = list(table.blocks(data))
    if not blocks:
        raise ValueError("it is empty")
    key, value = next(table.entries(data, blocks[0][1]), (None, data[:0]))
    if key != b"":
        raise ValueError("it does not begin with a description of its variables")
    if len(value) > _LARGEST:
        raise ValueError(
            f"the description of its variables has {len(value)} bytes; expected at most {_LARGEST}"
        )
    return Saved(data, dict(_variables(value)), blocks)


def read(saved: Saved, names: Collection[str]) -> dict[str, np.ndarray]:
    """The values of variables. They are views of the file.

    Raises:
      ValueError, IndexError: a variable is damaged, or of an unsupported dtype.
    """
    keys = {_key(name, len(saved.variables[name].shape)): name for name in names}
    ends = [end for end, _ in saved.blocks]
    found: dict[str, np.ndarray] = {}
    for n in sorted({bisect.bisect_left(ends, key) for key in keys} - {len(ends)}):
        for key, value in table.entries(saved.data, saved.blocks[n][1]):
            if key in keys:
                found[keys[key]] = _array(keys[key], saved.variables[keys[key]], value)
    if missing := sorted(set(names) - set(found)):
        raise ValueError(f"it has no values of {missing[0]}")
    return {name: found[name] for name in names}


def _variables(message: memoryview) -> Iterator[tuple[str, Variable]]:
    """The variables of the description: a SavedTensorSlices with a SavedTensorSliceMeta."""
    found = (part for meta in contents(message, 1) for part in contents(meta, 1))
    for count, part in enumerate(found):
        if count == _MOST:
            raise ValueError(f"it has more than {_MOST} variables")
        yield _variable(part)


def _variable(message: memoryview) -> tuple[str, Variable]:
    """The name and the description of a variable: a SavedSliceMeta."""
    name, dtype, shape, slices = b"", 0, [], []
    for number, value in values(message):
        match number, value:
            case 1, memoryview():
                name = bytes(value)
            case 2, memoryview():
                dims = itertools.islice(contents(value, 2), _MOST_AXES + 1)
                shape = [_size(dim) for dim in dims]
                if len(shape) > _MOST_AXES:
                    raise ValueError(f"a variable has more than {_MOST_AXES} axes")
            case 3, int():
                dtype = value
            case 4, memoryview():
                slices.append(value)
    if not name:
        raise ValueError("it describes a variable without a name")
    # A slice has an extent per dimension. The extent of the whole dimension is empty.
    whole = len(slices) == 1 and all(len(extent) == 0 for extent in contents(slices[0], 1))
    return name.decode(), Variable(dtype, tuple(shape), whole)


def _size(dim: memoryview) -> int:
    return sum(value for number, value in values(dim) if number == 1 and isinstance(value, int))


def _key(name: str, dims: int) -> bytes:
    """The key of the slice that is the whole of a variable."""
    text = name.encode().replace(b"\0", b"\0\xff")
    rank = bytes([1, dims]) if dims else b"\0"
    return b"\0" + text + b"\0\1" + rank + b"\x80\x7f" * dims  # begins at 0, has length -1


def _array(name: str, variable: Variable, message: memoryview) -> np.ndarray:
    """The values in a SavedTensorSlices, whose SavedSlice holds a TensorProto."""
    if variable.dtype not in _VALUES:
        raise ValueError(
            f"{name} has TensorFlow's dtype number {variable.dtype}, which is not supported"
        )
    dtype, number = _VALUES[variable.dtype]
    for inner in (2, 3, number):
        message = _part(name, message, inner)
    made = np.frombuffer(message, dtype)
    if made.size != math.prod(variable.shape):
        raise ValueError(
            f"{name} has shape {list(variable.shape)}, but the size of its data does not fit it"
        )
    return made.reshape(variable.shape)


def _part(name: str, message: memoryview, number: int) -> memoryview:
    """The content of the only field of a message with that number."""
    first = list(itertools.islice(fields(message, 0, len(message)), _MOST_FIELDS))
    found = [field for field in first if field.number == number and field.kind == BYTES]
    if len(found) != 1 or first[-1].end != len(message):
        raise ValueError(f"the values of {name} are not stored as TensorFlow does")
    return message[found[0].at : found[0].end]
