"""Counts the parts of an ONNX model in the file, before anything of it is parsed.

A parsed message takes some 100 bytes, and two bytes in a file can hold one. A parsed whole number
takes 4 or 8 bytes, and one byte can hold it.
"""

from typing import Any

import numpy as np

from jlstm.interop.protobuf import BYTES, FIXED32, FIXED64, VARINT, varint

_MOST = 200_000  # fields of all messages; models of LSTMs have some 10000
_DEEPEST = 64  # messages within messages
_LITTLE, _TIMES = 1 << 25, 2  # bytes of whole numbers, at least, and as a multiple of the file
_SIZES = {VARINT: 0, FIXED64: 8, FIXED32: 4}


def require_bounded(data: memoryview, descriptor: Any) -> None:
    """Checks a message's number of parts, and that it is whole.

    Args:
      data: the encoded message.
      descriptor: the descriptor of its type.

    Raises:
      ValueError, IndexError: it has too many fields or numbers, or is cut off or malformed.
    """
    kinds: dict[str, tuple[dict[int, Any], dict[int, int]]] = {}
    waiting = [(0, len(data), descriptor, 0)]
    left = _MOST
    room = _LITTLE + _TIMES * len(data)
    while waiting:
        at, end, descriptor, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"its messages are nested more than {_DEEPEST} deep")
        if descriptor.full_name not in kinds:
            kinds[descriptor.full_name] = _inner(descriptor)
        messages, packed = kinds[descriptor.full_name]
        while at < end:
            left -= 1
            if left < 0:
                raise ValueError(
                    f"it has more than {_MOST} nodes, values and attributes; expected at most "
                    "that many, as a network of LSTMs has"
                )
            tag = data[at]
            if tag < 128:
                at += 1
            else:
                tag, at = varint(data, at)
            kind = tag & 7
            if kind == BYTES:
                size, at = varint(data, at)
                if at + size > end:
                    raise ValueError("it is cut off")
                if size and tag >> 3 in messages:
                    waiting.append((at, at + size, messages[tag >> 3], depth + 1))
                elif size and tag >> 3 in packed:
                    numbers = np.frombuffer(data[at : at + size], np.uint8)
                    room -= packed[tag >> 3] * int(np.count_nonzero(numbers < 128))
                    if room < 0:
                        raise ValueError(
                            "its whole numbers take much more memory than the file; store them "
                            "as raw data"
                        )
                at += size
            elif kind == VARINT:
                at = varint(data, at)[1]
            elif kind in _SIZES:
                at += _SIZES[kind]
            else:
                raise ValueError(f"it has a field of kind {kind}, which is not valid")
        if at > end:
            raise ValueError("it is cut off")


def _inner(descriptor: Any) -> tuple[dict[int, Any], dict[int, int]]:
    """By number: the types of fields that are messages, and bytes of a number in the others."""
    fields = descriptor.fields
    messages = {field.number: field.message_type for field in fields if field.message_type}
    long = (fields[0].CPPTYPE_INT64, fields[0].CPPTYPE_UINT64) if fields else ()
    short = (fields[0].CPPTYPE_INT32, fields[0].CPPTYPE_UINT32) if fields else ()
    sizes = {field.number: 8 for field in fields if field.cpp_type in long}
    sizes |= {field.number: 4 for field in fields if field.cpp_type in short}
    return messages, sizes
