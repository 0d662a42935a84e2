"""The part of the protocol buffer encoding that weight files need."""

from collections.abc import Iterator
from typing import Any, NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field of a message: its number, its kind and its value.

    The field is `data[begin:end]`; its content begins at `at`. For a field of bytes, `value` is 0
    and the bytes are `data[at:end]`.
    """

    number: int
    kind: int
    value: int
    begin: int
    at: int
    end: int


def varint(data: Any, at: int) -> tuple[int, int]:
    """The variable-length integer at `data[at]`, and the position after it."""
    value = shift = 0
    while True:
        byte = int(data[at])
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("it holds a number that does not end")


def fields(data: Any, at: int, end: int) -> Iterator[Field]:
    """The fields of the message data[at:end].

    Raises:
      ValueError, IndexError: the message is cut off or malformed.
    """
    while at < end:
        begin = at
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("it has a field with the number 0, which is not valid")
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
            raise ValueError(f"it has a field of kind {kind}, which is not valid")
        if at + size > end:
            raise ValueError("it is cut off")
        value = 0 if kind == BYTES else int.from_bytes(bytes(data[at : at + size]), "little")
        yield Field(number, kind, value, begin, at, at + size)
        at += size


def values(message: Any) -> Iterator[tuple[int, Any]]:
    """The number and the value of each field. For a field of bytes, the value is those bytes.

    Raises:
      ValueError, IndexError: the message is cut off or malformed.
    """
    for field in fields(message, 0, len(message)):
        held = field.kind == BYTES
        yield field.number, message[field.at : field.end] if held else field.value


def contents(message: Any, number: int) -> Iterator[Any]:
    """The bytes, often those of messages, in the fields with one number.

    Raises:
      ValueError, IndexError: the message is cut off or malformed.

    >>> list(contents(as_bytes(3, b"a") + as_bytes(2, b"b") + as_bytes(3, b"c"), 3))
    [b'a', b'c']
    """
    for found, value in values(message):
        if found == number and not isinstance(value, int):
            yield value


def as_bytes(number: int, content: bytes) -> bytes:
    """The encoding of a field that holds bytes or another message."""
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])
