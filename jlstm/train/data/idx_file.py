"""Reads IDX files, the format of MNIST."""

import gzip
import math
import os
import struct
import zlib

import numpy as np

_LARGEST = 1 << 31  # bytes of the values; MNIST has 47 million
_MOST = 1032  # bytes that one byte of a .gz file can become


def read(path: str | os.PathLike[str], axes: int) -> np.ndarray:
    """The values of an IDX file of bytes, plain or compressed by gzip. uint8, with `axes` axes.

    The file begins with two bytes 0, the type of the values (8 for bytes), and the number of axes.
    The size of each axis follows, as 4 bytes, the highest first. Then come the values.

    Raises:
      ValueError: the file cannot be read, is not such a file, or has fewer or more values than its
        header says. It is refused before memory for the values is reserved.
    """
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return _read(path, unpacked, axes, size * _MOST)
            return _read(path, file, axes, size)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ValueError(
            f"{path}: the compressed file is damaged or cut off. Download it again."
        ) from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from None


def _read(path: str | os.PathLike[str], file, axes: int, most: int) -> np.ndarray:
    """The values of a file of at most `most` bytes, header and values together."""
    magic = file.read(4)
    if magic != bytes([0, 0, 8, axes]):
        raise ValueError(
            f"{path}: begins with the bytes {magic.hex(' ') or 'of an empty file'}; expected "
            f"00 00 08 {axes:02x}, an IDX file of bytes with {axes} axes"
        )
    sizes = file.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise ValueError(f"{path}: is cut off in its header. Download it again.")
    shape = struct.unpack(f">{axes}I", sizes)
    count, most = math.prod(shape), most - 4 - len(sizes)
    if count > most:
        raise ValueError(
            f"{path}: its header says {' x '.join(map(str, shape))} values, but the file has at "
            f"most {most}. It is damaged or cut off."
        )
    if count > _LARGEST:
        raise ValueError(f"{path}: has {count} values; expected at most {_LARGEST}")
    values = bytearray(count)
    held = 0
    while held < count and (got := file.readinto(memoryview(values)[held:])):
        held += got
    if held < count or file.read(1):
        raise ValueError(
            f"{path}: its header says {' x '.join(map(str, shape))} values, but the file has "
            f"{'more' if held == count else held}. It is damaged or cut off."
        )
    return np.frombuffer(values, np.uint8).reshape(shape)
