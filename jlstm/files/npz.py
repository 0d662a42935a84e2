"""Reads arrays by name from NumPy's .npz files, checking all claimed sizes first."""

import math
import os
import tokenize
import zipfile
from collections.abc import Callable, Collection
from typing import IO

import numpy as np

from jlstm.files import archives, contents

# Errors of NumPy for headers that are damaged.
_BROKEN = (ValueError, tokenize.TokenError, SyntaxError, TypeError, OverflowError, RecursionError)
_BROKEN += (MemoryError,)
_MOST_AXES = 32  # as many as NumPy 1 allows
_PIECE = 1 << 20  # bytes unpacked at once


def read(
    path: str | os.PathLike, choose: Callable[[Collection[str]], Collection[str]]
) -> dict[str, np.ndarray]:
    """Reads the arrays that `choose` selects among all names of the file.

    Raises:
      ValueError: the file is damaged or not an .npz file, or an array holds objects.
    """
    contents.require(path, "an .npz file of arrays", "npz", "zip")
    try:
        with archives.opened(path) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            if len(entries) < len(archive.infolist()):
                raise zipfile.BadZipFile("it has two arrays of one name, with and without .npy")
            chosen = {name: entries[name] for name in choose(list(entries))}
            archives.require_room(path, *chosen.values())
            return {name: _array(archive, entry) for name, entry in chosen.items()}
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is damaged or not an .npz file of arrays: {error}") from None


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archives.entry(archive, entry) as file:
        shape, fortran, dtype = _header(file)
        if dtype.hasobject:
            raise zipfile.BadZipFile(f"{entry.filename} holds objects, which are never unpickled")
        size = math.prod(shape) * dtype.itemsize
        fits = file.tell() + size == entry.file_size and all(extent >= 0 for extent in shape)
        if not fits or dtype.names or not dtype.itemsize or len(shape) > _MOST_AXES:
            raise zipfile.BadZipFile(
                f"{entry.filename} has shape {list(shape)}, but its data has another size"
            )
        data = np.empty(size, np.uint8)
        for at in range(0, size, _PIECE):
            piece = file.read(min(_PIECE, size - at))
            data[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        file.read(1)  # at the end, the checksum is compared
    made = data.view(dtype)
    if not dtype.isnative:
        made = made.astype(dtype.newbyteorder("="))
    return made.reshape(shape[::-1]).T if fortran else made.reshape(shape)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(file)
        known = {(1, 0): np.lib.format.read_array_header_1_0}
        read = known.get(version, np.lib.format.read_array_header_2_0)
        return read(file)
    except _BROKEN as error:
        raise zipfile.BadZipFile(f"an array's header is damaged: {error}") from None
