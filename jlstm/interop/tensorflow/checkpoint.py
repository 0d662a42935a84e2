"""TensorFlow checkpoints, read without TensorFlow.

A checkpoint is an index and data files. The index, PREFIX.index, has the table format of LevelDB:
blocks of keys with shared prefixes, each block with a checksum. Its values are small protocol
buffers. The data files, PREFIX.data-00000-of-00001 and so on, hold the arrays one after another.
The formats come from tensorflow/core/util/tensor_bundle and
tensorflow/core/protobuf/tensor_bundle.proto.
"""

import contextlib
import os
import pathlib
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import numpy as np

from jlstm.interop import needs, protobuf
from jlstm.interop.protobuf import varint

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_LONGEST = 1 << 12  # bytes of a variable's name; real names have some hundred
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
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
    path: str | os.PathLike, choose: Callable[[Collection[str]], Collection[str]]
) -> dict[str, np.ndarray]:
    """Reads the variables that `choose` selects among all names of the checkpoint.

    Args:
      path: the checkpoint's path without extension, one of its files, or a folder, of which the
        latest checkpoint is read.
      choose: takes all names and returns the names to read.

    Raises:
      ValueError: it is not a checkpoint, a file is missing, or a checksum does not match.
    """
    prefix = _prefix(pathlib.Path(path))
    with _whole(prefix):
        entries = dict(_entries(pathlib.Path(f"{prefix}.index").read_bytes()))
        if "" not in entries:
            raise ValueError("its index has no header")
        shards = dict(_fields(entries.pop(""))).get(1, 1)
    if _OBJECTS in entries:
        raise ValueError(
            f"{prefix} is a checkpoint of TensorFlow 2 (tf.train.Checkpoint, or save_weights of "
            "Keras), whose names do not tell the kind of a layer; load it in TensorFlow 2 and "
            "convert the layers with from_keras"
        )
    chosen = choose(list(entries))
    with _whole(prefix):
        found = {name: _entry(entries[name]) for name in chosen}
    for name, entry in found.items():
        if entry.sliced:
            raise ValueError(
                f"{prefix}: {name} is saved in slices, which a partitioner makes; save it without "
                "a partitioner"
            )
    with _whole(prefix):
        files: dict[int, np.ndarray] = {}
        made = {}
        for name, entry in found.items():
            if entry.shard not in files:
                file = f"{prefix}.data-{entry.shard:05d}-of-{shards:05d}"
                files[entry.shard] = np.memmap(file, np.uint8, "r")
            made[name] = _array(name, entry, files[entry.shard])
    return made


@contextlib.contextmanager
def _whole(prefix: str) -> Iterator[None]:
    """Turns errors into ValueErrors that the checkpoint cannot be read or is damaged."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot read {prefix}: {error}") from None
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"{prefix} is damaged or not a TensorFlow checkpoint: {error}") from None


def _prefix(path: pathlib.Path) -> str:
    if path.is_dir():
        found = sorted(path.glob("*.index"), key=lambda file: file.stat().st_mtime)
        if not found:
            raise ValueError(
                f"the folder {path} holds no checkpoint; expected a file ending in .index"
            )
        path = found[-1]
    name = path.name.removesuffix(".index").partition(".data-")[0].removesuffix(".meta")
    return str(path.with_name(name))


def _entries(index: bytes) -> Iterator[tuple[str, bytes]]:
    if len(index) < _FOOTER or index[-8:] != _MAGIC:
        raise ValueError("its index does not end with the footer of one")
    footer = index[-_FOOTER:]
    _, at = varint(footer, 0)
    _, at = varint(footer, at)
    read: set[bytes] = set()
    for _, handle in _block(index, footer, at):
        if handle in read:
            raise ValueError("its index lists a block twice")
        read.add(handle)
        for key, value in _block(index, handle, 0):
            if not key.startswith(b"\0"):  # such keys are binary, for slices of variables
                yield key.decode(), value


def _block(index: bytes, handle: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block. `handle` holds its offset and size."""
    offset, at = varint(handle, at)
    size, _ = varint(handle, at)
    block, kind = index[offset : offset + size], index[offset + size]
    checksum = int.from_bytes(index[offset + size + 1 : offset + size + 5], "little")
    if _checksum(np.frombuffer(index, np.uint8)[offset : offset + size + 1]) != checksum:
        raise ValueError("a checksum of its index does not match")
    if kind != 0:
        raise ValueError("its index is compressed, which TensorFlow never does")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared + own > _LONGEST:
            raise ValueError(f"its index has a name of {shared + own} bytes")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The numbers and values of a message's fields."""
    for field in protobuf.fields(message, 0, len(message)):
        held = field.kind == protobuf.BYTES
        yield field.number, message[field.at : field.end] if held else field.value


def _entry(value: bytes) -> _Entry:
    entry = _Entry()
    for field, given in _fields(value):
        match field, given:
            case 1, int():
                entry = entry._replace(dtype=given)
            case 2, bytes():
                dims = [dict(_fields(d)) for f, d in _fields(given) if f == 2]  # type: ignore[arg-type]
                entry = entry._replace(shape=tuple(int(d.get(1, 0)) for d in dims))
            case 3, int():
                entry = entry._replace(shard=given)
            case 4, int():
                entry = entry._replace(offset=given)
            case 5, int():
                entry = entry._replace(size=given)
            case 6, int():
                entry = entry._replace(checksum=given)
            case 7, _:
                entry = entry._replace(sliced=True)
    return entry


def _array(name: str, entry: _Entry, data: np.ndarray) -> np.ndarray:
    if entry.dtype not in _DTYPES:
        raise ValueError(
            f"{name} has TensorFlow's dtype number {entry.dtype}, which is not supported"
        )
    dtype = np.dtype(_dtype(_DTYPES[entry.dtype]))
    count = 1
    for size in entry.shape:
        count *= size
    if count * dtype.itemsize != entry.size or entry.offset + entry.size > len(data):
        raise ValueError(
            f"{name} has shape {list(entry.shape)}, but the size of its data does not fit it"
        )
    raw = data[entry.offset : entry.offset + entry.size]
    if entry.checksum is None or _checksum(raw) != entry.checksum:
        raise ValueError(f"the checksum of {name} does not match")
    return raw.view(dtype).reshape(entry.shape)


def _dtype(name: str) -> np.dtype:
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def _checksum(data: np.ndarray) -> int:
    """The CRC-32C in LevelDB's masked form, which suits data that itself holds checksums."""
    checksum = needs.module("google_crc32c").Checksum()
    for start in range(0, len(data), 1 << 20):
        checksum.update(data[start : start + (1 << 20)].tobytes())
    value = int.from_bytes(checksum.digest(), "big")
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF
