"""The encoding of protocol buffers, as far as files of weights need it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field of a message: its number and kind, and where its tag, its value and its end are.

    `value` is the number itself, or nothing for bytes, which are `data[at:end]`.
    """

    number: int
    kind: int
    value: int
    begin: int
    at: int
    end: int


def varint(data: Any, at: int) -> tuple[int, int]:
    """A number of variable length at a place, and where it ends."""
    value = shift = 0
    while True:
        byte = int(data[at])
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number in it has no end")


def fields(data: Any, at: int, end: int) -> Iterator[Field]:
    """The fields of a message that lies in data[at:end].

    Raises:
      ValueError, IndexError: it is cut off, or no such message.
    """
    while at < end:
        begin = at
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("it has a field of number 0, which there is not")
        if kind == VARINT:
            value, after = varint(data, at)
            yield Field(number, kind, value, begin, at, after)
            at = after
            continue
        if kind == BYTES:
            size, at = varint(data, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"it has a field of kind {kind}, which there is not")
        if at + size > end:
            raise ValueError("it is cut off")
        value = 0 if kind == BYTES else int.from_bytes(bytes(data[at : at + size]), "little")
        yield Field(number, kind, value, begin, at, at + size)
        at += size


def as_bytes(number: int, content: bytes) -> bytes:
    """A field that holds bytes, or another message."""
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])
