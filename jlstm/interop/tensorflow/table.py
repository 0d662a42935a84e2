"""The table format of LevelDB, which both formats of TensorFlow checkpoints use.

A table has blocks of sorted keys with their values, then a block that lists these blocks, then a
footer. A key stores only what it does not share with the key before it. Each block has a checksum.
"""

import os
import pathlib
from collections.abc import Iterator

import numpy as np

from jlstm.interop import needs
from jlstm.interop.protobuf import varint

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5  # bytes after a block: how it is compressed, and its checksum
_LONGEST = 1 << 12  # bytes of a key, a variable's name; real names have some hundred
_MOST = 100_000  # keys in a block, and blocks; real checkpoints have some thousand
_SHARING = 16  # keys in a row that share their beginnings; after them, one is stored whole


def ends(path: pathlib.Path) -> bool:
    """Whether a file ends as a table does."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(-min(len(_MAGIC), file.tell()), os.SEEK_END)
        return file.read() == _MAGIC


def blocks(table: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """A key and a handle for each block. The key is not below those of the block.

    Raises:
      ValueError, IndexError: it is not a table, or its blocks do not follow one another.
    """
    footer = bytes(table[-_FOOTER:])
    if len(footer) < _FOOTER or footer[-8:] != _MAGIC:
        raise ValueError("it does not end with the footer of one")
    _, at = varint(footer, 0)
    _, at = varint(footer, at)
    after = 0
    for key, value in entries(table, footer[at:]):
        offset, size = place(value)
        if offset < after:
            raise ValueError("its index lists a block twice")
        after = offset + size + _TRAILER
        yield key, bytes(value)


def place(handle: bytes | memoryview) -> tuple[int, int]:
    """The offset and the size of a block."""
    offset, at = varint(handle, 0)
    return offset, varint(handle, at)[0]


def entries(table: memoryview, handle: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The keys and values of a block.

    Raises:
      ValueError, IndexError: the block is damaged, or its keys would take much memory.
    """
    offset, size = place(handle)
    block, kind = table[offset : offset + size], table[offset + size]
    stored = int.from_bytes(table[offset + size + 1 : offset + size + _TRAILER], "little")
    if checksum(np.frombuffer(table[offset : offset + size + 1], np.uint8)) != stored:
        raise ValueError("the checksum of a block does not match")
    if kind != 0:
        raise ValueError("a block is compressed, which TensorFlow never does")
    restarts = int.from_bytes(block[-4:], "little")
    end = size - 4 - 4 * restarts
    at, key, taken, count = 0, b"", 0, 0
    while at < end:
        count += 1
        if count > _MOST:
            raise ValueError(f"a block of its index has more than {_MOST} names")
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared + own > _LONGEST:
            raise ValueError(f"its index has a name of {shared + own} bytes")
        taken += shared + own
        if taken > _SHARING * size:
            raise ValueError(f"the names in {size} bytes of its index would take {taken} bytes")
        before, key = key, key[:shared] + bytes(block[at : at + own])
        if count > 1 and key <= before:
            raise ValueError(f"its names are not in order, from {key!r:.80} on")
        yield key, block[at + own : at + own + length]
        at += own + length


def checksum(data: np.ndarray) -> int:
    """The CRC-32C in LevelDB's masked form, which suits data that itself holds checksums."""
    made = needs.module("google_crc32c").Checksum()
    for start in range(0, len(data), 1 << 20):
        made.update(data[start : start + (1 << 20)].tobytes())
    value = int.from_bytes(made.digest(), "big")
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF
