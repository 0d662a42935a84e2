"""Opens zip archives, and reads their entries, after checking how large both would become."""

import collections
import contextlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np

from jlstm.files import regular

_LARGEST = 1 << 21  # bytes of the list of entries; an entry needs some 100
_LITTLE = 1 << 24  # bytes that may unpack from any size; zeros pack very well
_LARGEST_RATIO = 4  # of unpacked to packed; trained weights hardly shrink at all
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# The end of an archive: a record of 22 bytes and a comment. A record of 56 bytes and a pointer of
# 20 bytes stand before it in large archives, and in all of torch.
_END, _END_64, _POINTER_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_ENDING = 22 + 0xFFFF
_BROKEN = (zlib.error, NotImplementedError, RuntimeError, EOFError, struct.error)
_BROKEN += (ValueError, IndexError, KeyError, OverflowError, TypeError)


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose list of entries is not too long.

    Raises:
      OSError: the file cannot be read.
      zipfile.BadZipFile: it is not an archive, has too many entries, or two of one name.
    """
    regular.require(path)
    with open(path, "rb") as file:
        size = _size_of_list(file)
        if size > _LARGEST:
            raise zipfile.BadZipFile(
                f"the list of its entries has {size} bytes; expected at most {_LARGEST}, enough "
                "for some 20000 arrays"
            )
        with _broken("its list of entries is damaged"):
            archive = zipfile.ZipFile(file)
        with archive:
            names = collections.Counter(archive.namelist())
            if twice := [name for name, count in names.items() if count > 1]:
                raise zipfile.BadZipFile(
                    f"it has two entries named {twice[0]!r:.80}, so it is not clear which counts"
                )
            yield archive


@contextlib.contextmanager
def entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """An entry opened for reading.

    Raises:
      zipfile.BadZipFile: it is damaged, or packed in a way that no framework uses.
    """
    if info.compress_type not in _PLAIN or info.flag_bits & 1:
        raise zipfile.BadZipFile(
            f"its {_short(info)} is encrypted or compressed by method {info.compress_type}; "
            f"expected an entry that is stored or deflated (methods {_PLAIN[0]} and {_PLAIN[1]})"
        )
    with _broken(f"its {_short(info)} is damaged"), archive.open(info) as file:
        yield file


def beginning(file: np.ndarray, info: zipfile.ZipInfo) -> int:
    """The offset of a stored entry's bytes: after a 30-byte header, its name and extra field.

    Raises:
      zipfile.BadZipFile: the bytes are not all in the file.
    """
    lengths = file[info.header_offset + 26 : info.header_offset + 30].tobytes()
    if len(lengths) == 4:
        at = info.header_offset + 30 + sum(struct.unpack("<HH", lengths))
        if at + info.file_size <= len(file):
            return at
    raise zipfile.BadZipFile(f"its {_short(info)} is cut off")


def require_room(path: str | os.PathLike, *entries: zipfile.ZipInfo) -> None:
    """BadZipFile if entries would unpack to much more than the file has for them."""
    size = sum(info.file_size for info in entries)
    packed = min(sum(info.compress_size for info in entries), os.path.getsize(path))
    if size > max(_LITTLE, _LARGEST_RATIO * packed):
        raise zipfile.BadZipFile(
            f"its arrays would unpack to {size} bytes from {packed}; expected at most "
            f"{_LARGEST_RATIO} times as much: save them without compression"
        )


@contextlib.contextmanager
def _broken(what: str) -> Iterator[None]:
    """Turns the many errors of the zip reader into BadZipFile."""
    try:
        yield
    except zipfile.BadZipFile:
        raise
    except _BROKEN as error:
        raise zipfile.BadZipFile(f"{what}: {str(error) or type(error).__name__!s:.200}") from None


def _short(info: zipfile.ZipInfo) -> str:
    return f"{info.filename!r:.80}"


def _size_of_list(file: IO[bytes]) -> int:
    """The bytes of the list of entries, by the record at the end of the file; 0 without one."""
    whole = file.seek(0, os.SEEK_END)
    file.seek(max(whole - _ENDING - 76, 0))
    data = file.read()
    file.seek(0)
    at = len(data) - 22
    if at < 0 or data[at : at + 4] != _END or data[-2:] != b"\0\0":
        at = data.rfind(_END)
    if at < 0 or at + 22 > len(data):
        return 0
    size = int.from_bytes(data[at + 12 : at + 16], "little")
    before = data[max(at - 76, 0) : at]
    if before[-20:-16] != _POINTER_64:
        return size
    if before[:4] != _END_64:
        raise zipfile.BadZipFile("its ending is damaged")
    return int.from_bytes(before[40:48], "little")
