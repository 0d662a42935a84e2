"""Reads the file of Debian's package bible-kjv-text.

The file has a header and windows of text, each compressed by itself with the method of Unix's
`compress` (T. A. Welch, Computer 17(6), 1984). All numbers of the header have 4 bytes, the highest
first:

    0     "EC02", the kind of the file, and a title of 80 bytes
    84    the size of a window before compression
    88    the number of windows
    92    where each window begins in the file, and where the last one ends
"""

import itertools
import re
import struct

_MAGIC = b"EC02"
_SIZES = 84
_LARGEST_WINDOW = 1 << 20
_FIRST_BITS, _MOST_BITS = 9, 16
_CLEAR = 256  # the code that empties the table


def read(path: str, content: bytes) -> bytes:
    """The verses as ASCII text, one in each line, without their numbers. The title is left out.

    Raises:
      ValueError: the content is not of such a file, or it is damaged.
    """
    if content[:4] != _MAGIC:
        raise ValueError(
            f"{path}: begins with {content[:4]!r}; expected {_MAGIC!r}, the file bible.data of "
            "Debian's package bible-kjv-text. Read other texts with source = 'text'"
        )
    try:
        size, count = struct.unpack_from(">2I", content, _SIZES)
        if size > _LARGEST_WINDOW:
            raise ValueError(f"windows of {size} bytes; expected at most {_LARGEST_WINDOW}")
        places = struct.unpack_from(f">{count + 1}I", content, _SIZES + 8)
        if list(places) != sorted(places) or places[-1] != len(content):
            raise ValueError("its windows do not end where the file does")
        windows = itertools.pairwise(places)
        text = b"".join(unpacked(content[a:b], size) for a, b in windows)
    except (struct.error, ValueError) as error:
        raise ValueError(
            f"{path}: the file is damaged: {error}. Install bible-kjv-text anew"
        ) from None
    _title, _, text = text.partition(b"\n")
    return re.sub(rb"(?m)^\w+:\d+ ", b"", text)


def unpacked(packed: bytes, most: int) -> bytes:
    """A window of text, decompressed.

    Codes have 9 bits at first, and one more each time the table outgrows them. They come in groups
    of 8, the lowest bits first; the rest of a group is empty when the number of bits changes.

    Raises:
      ValueError: a code is not in the table, or the window has more than `most` bytes.
    """
    first = [bytes([n]) for n in range(256)] + [b""]  # the last is for _CLEAR
    table, bits, before = list(first), _FIRST_BITS, b""
    parts, size, at = [], 0, 0
    while at < len(packed):
        group = packed[at : at + bits]
        at += bits
        number = int.from_bytes(group, "little")
        for n in range(len(group) * 8 // bits):
            code = number >> n * bits & (1 << bits) - 1
            if code == _CLEAR:
                table, bits, before = list(first), _FIRST_BITS, b""
                break
            if code < len(table):
                part = table[code]
            elif code == len(table) and before:
                part = before + before[:1]
            else:
                raise ValueError(f"code {code} in a table of {len(table)}")
            if before and len(table) < 1 << _MOST_BITS:
                table.append(before + part[:1])
            parts.append(part)
            size += len(part)
            if size > most:
                raise ValueError(f"a window has more than {most} bytes")
            before = part
            if len(table) >= 1 << bits and bits < _MOST_BITS:
                bits += 1
                break
    return b"".join(parts)
