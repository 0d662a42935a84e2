"""Reads arrays by name from NumPy's .npz files, checking all claimed sizes first."""

import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection
from typing import IO

import numpy as np

_LARGEST_RATIO = 100  # of unpacked to packed; trained weights hardly shrink at all
_LITTLE = 1 << 26  # bytes that may unpack from any size; zeros pack very well
_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)
_BROKEN += (tokenize.TokenError, SyntaxError, TypeError, OverflowError)


def read(
    path: str | os.PathLike, choose: Callable[[Collection[str]], Collection[str]]
) -> dict[str, np.ndarray]:
    """Reads the arrays that `choose` selects among all names of the file.

    Raises:
      ValueError: the file is damaged or not an .npz file, or an array holds objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            chosen = {name: entries[name] for name in choose(list(entries))}
            size = sum(entry.file_size for entry in chosen.values())
            packed = sum(entry.compress_size for entry in chosen.values())
            if size > max(_LITTLE, _LARGEST_RATIO * min(packed, os.path.getsize(path))):
                raise zipfile.BadZipFile(f"its arrays would unpack to {size} bytes")
            return {name: _array(archive, entry) for name, entry in chosen.items()}
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except _BROKEN as error:
        raise ValueError(f"{path} is damaged or not an .npz file of arrays: {error}") from None


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        shape, dtype = _header(file)
        if dtype.hasobject:
            raise zipfile.BadZipFile(f"{entry.filename} holds objects, which are never unpickled")
        if file.tell() + math.prod(shape) * dtype.itemsize != entry.file_size:
            raise zipfile.BadZipFile(
                f"{entry.filename} has shape {list(shape)}, but its data has another size"
            )
    with archive.open(entry) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(file)
        known = {(1, 0): np.lib.format.read_array_header_1_0}
        read = known.get(version, np.lib.format.read_array_header_2_0)
        shape, _, dtype = read(file)
    except ValueError as error:
        raise zipfile.BadZipFile(str(error)) from None
    return shape, dtype
