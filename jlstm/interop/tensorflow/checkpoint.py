"""TensorFlow checkpoints, read without TensorFlow.

A checkpoint is an index and data files. The index, PREFIX.index, has the table format of LevelDB.
Its values are small protocol buffers. The data files, PREFIX.data-00000-of-00001 and so on, hold
the arrays one after another. The formats come from tensorflow/core/util/tensor_bundle and
tensorflow/core/protobuf/tensor_bundle.proto. Files of the format before it, V1, are read too.
"""

import contextlib
import itertools
import math
import os
import pathlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import numpy as np

from jlstm.files import contents, regular
from jlstm.interop.protobuf import values, varint
from jlstm.interop.tensorflow import checkpoint_v1, objects, table

_TEXT = 7  # the dtype number of texts
_MOST, _MOST_BYTES = 100_000, 1 << 23  # names, and bytes of all names
_MOST_AXES = 254  # as TensorFlow allows
_MOST_FIELDS = 16  # of a variable or of the header, which have at most seven
_DTYPES = {1: "float32", 2: "float64", 3: "int32", 9: "int64", 14: "bfloat16", 19: "float16"}


class _Entry(NamedTuple):
    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int | None = None
    sliced: bool = False


def read(
    path: str | os.PathLike,
    choose: Callable[[Collection[str]], Collection[str]],
    named: Callable[[dict[str, str]], None] | None = None,
) -> dict[str, np.ndarray]:
    """Reads the variables that `choose` selects among all names of the checkpoint.

    Args:
      path: the checkpoint's path without extension, one of its files, or a folder, of which the
        latest checkpoint is read.
      choose: takes all names and returns the names to read.
      named: takes, before that, the names that the variables of a TensorFlow 2 checkpoint had in
        the program. None refuses such checkpoints.

    Raises:
      ValueError: it is not a checkpoint, a file is missing, or a checksum does not match.
    """
    prefix = _prefix(pathlib.Path(path))
    for file in (f"{prefix}.index", prefix):
        if os.path.isfile(file):
            contents.require(file, "part of a TensorFlow checkpoint", "table")
            break
    if pathlib.Path(prefix).is_file() and not pathlib.Path(f"{prefix}.index").exists():
        with _whole(prefix):
            saved = checkpoint_v1.opened(prefix)
        chosen = choose(list(saved.variables))
        for name in chosen:
            _require_one_slice(prefix, name, not saved.variables[name].whole)
        with _whole(prefix):
            return checkpoint_v1.read(saved, chosen)
    with _whole(prefix):
        entries = dict(_entries(_bytes(f"{prefix}.index")))
        if "" not in entries:
            raise ValueError("its index has no header")
        header = dict(_fields(entries.pop("")))
        shards = header.get(1, 1)
        if header.get(2, 0) != 0:
            raise ValueError("its numbers are big-endian; save it again on a machine that is not")
    if objects.KEY in entries:
        if named is None:
            raise ValueError(
                f"{prefix} is a checkpoint of TensorFlow 2 (tf.train.Checkpoint, save_weights of "
                "Keras, or a SavedModel); read its Keras layers with from_keras(path), or jlstm "
                "convert --from keras"
            )
        with _whole(prefix):
            entry = _entry(entries.pop(objects.KEY))
            file = f"{prefix}.data-{entry.shard:05d}-of-{shards:05d}"
            names = objects.variables(_text(entry, _mapped(file)))
        named(names)
    chosen = choose(list(entries))
    with _whole(prefix):
        found = {name: _entry(entries[name]) for name in chosen}
    for name, entry in found.items():
        _require_one_slice(prefix, name, entry.sliced)
    with _whole(prefix):
        files: dict[int, np.ndarray] = {}
        made = {}
        for name, entry in found.items():
            if entry.shard not in files:
                file = f"{prefix}.data-{entry.shard:05d}-of-{shards:05d}"
                files[entry.shard] = _mapped(file)
            made[name] = _array(name, entry, files[entry.shard])
    return made


def exists(path: pathlib.Path) -> bool:
    """Whether a checkpoint is at a path, which may also be that of a folder."""
    if path.is_dir():
        return any(path.glob("*.index")) or any(path.glob("*.meta"))
    return pathlib.Path(f"{path}.index").exists() or (path.is_file() and table.ends(path))


def holds_objects(path: str | os.PathLike) -> bool:
    """Whether a path is that of a checkpoint or SavedModel of TensorFlow 2."""
    try:
        index = _bytes(f"{_prefix(pathlib.Path(path))}.index")
        return any(name == objects.KEY for name, _ in _entries(index))
    except (OSError, ValueError, IndexError, TypeError):
        return False  # `read` says what is wrong with it, if it is a checkpoint


def _require_one_slice(prefix: str, name: str, sliced: bool) -> None:
    if sliced:
        raise ValueError(
            f"{prefix}: {name} is saved in slices, which a partitioner makes; save it without a "
            "partitioner"
        )


@contextlib.contextmanager
def _whole(prefix: str) -> Iterator[None]:
    """Turns errors into ValueErrors that the checkpoint cannot be read or is damaged."""
    try:
        yield
    except OSError as error:
        file = error.filename or prefix
        raise ValueError(f"cannot read {file}: {error.strerror or error}") from None
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"{prefix} is damaged or not a TensorFlow checkpoint: {error}") from None


def _bytes(file: str) -> bytes:
    regular.require(file)
    return pathlib.Path(file).read_bytes()


def _mapped(file: str) -> np.ndarray:
    regular.require(file)
    return np.memmap(file, np.uint8, "r")


def _prefix(path: pathlib.Path) -> str:
    if (path / "variables" / "variables.index").is_file():  # a SavedModel
        path = path / "variables"
    if path.is_dir():
        found = list(path.glob("*.index"))
        found = found or [file for file in path.glob("*.meta") if file.with_suffix("").is_file()]
        found.sort(key=lambda file: file.stat().st_mtime)
        if not found:
            raise ValueError(
                f"the folder {path} holds no checkpoint; expected a file ending in .index, or in "
                ".meta and one of the same name without it"
            )
        path = found[-1]
    name = path.name.removesuffix(".index").partition(".data-")[0].removesuffix(".meta")
    return str(path.with_name(name))


def _entries(index: bytes) -> Iterator[tuple[str, bytes]]:
    whole = memoryview(index)
    count = taken = 0
    last = None
    for _, handle in table.blocks(whole):
        for key, value in table.entries(whole, handle):
            count, taken = count + 1, taken + len(key)
            if count > _MOST or taken > _MOST_BYTES:
                raise ValueError(
                    f"its index has more than {_MOST} names, or {_MOST_BYTES} bytes of names"
                )
            if last is not None and key <= last:
                raise ValueError(f"its names are not in order, from {key!r:.80} on")
            last = key
            if not key.startswith(b"\0"):  # such keys are binary, for slices of variables
                yield key.decode(), bytes(value)


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The numbers and values of a message's fields, which are few."""
    for count, field in enumerate(values(message)):
        if count == _MOST_FIELDS:
            raise ValueError(f"a description in it has more than {_MOST_FIELDS} parts")
        yield field


def _entry(value: bytes) -> _Entry:
    entry = _Entry()
    for field, given in _fields(value):
        match field, given:
            case 1, int():
                entry = entry._replace(dtype=given)
            case 2, bytes():
                entry = entry._replace(shape=_shape(given))
            case 3, int():
                entry = entry._replace(shard=given)
            case 4, int():
                entry = entry._replace(offset=given)
            case 5, int():
                entry = entry._replace(size=given)
            case 6, int():
                entry = entry._replace(checksum=given)
            case 7, _:
                return entry._replace(sliced=True)  # which is refused; there may be many slices
    return entry


def _shape(message: bytes) -> tuple[int, ...]:
    found = list(itertools.islice(values(message), _MOST_AXES + 1))
    if len(found) > _MOST_AXES:
        raise ValueError(f"an array has more than {_MOST_AXES} axes")
    dims = [dict(_fields(dim)) for number, dim in found if number == 2]
    return tuple(int(dim.get(1, 0)) for dim in dims)


def _array(name: str, entry: _Entry, data: np.ndarray) -> np.ndarray:
    if entry.dtype not in _DTYPES:
        raise ValueError(
            f"{name} has TensorFlow's dtype number {entry.dtype}, which is not supported"
        )
    dtype = np.dtype(_dtype(_DTYPES[entry.dtype]))
    if math.prod(entry.shape) * dtype.itemsize != entry.size or entry.offset + entry.size > len(
        data
    ):
        raise ValueError(
            f"{name} has shape {list(entry.shape)}, but the size of its data does not fit it"
        )
    raw = data[entry.offset : entry.offset + entry.size]
    if entry.checksum is None or table.checksum(raw) != entry.checksum:
        raise ValueError(f"the checksum of {name} does not match")
    return raw.view(dtype).reshape(entry.shape)


def _text(entry: _Entry, data: np.ndarray) -> bytes:
    """A single text: its size, a checksum of that, and the bytes."""
    raw = data[entry.offset : entry.offset + entry.size]
    size, at = varint(raw, 0)
    if entry.dtype != _TEXT or entry.shape or at + 4 + size != len(raw):
        raise ValueError("its object graph is not a text of the size that its index has")
    checked = np.concatenate([np.frombuffer(size.to_bytes(4, "little"), np.uint8), raw[at:]])
    if table.checksum(checked) != entry.checksum:
        raise ValueError("the checksum of its object graph does not match")
    return raw[at + 4 :].tobytes()


def _dtype(name: str) -> np.dtype:
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
