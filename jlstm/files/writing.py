"""Writes files atomically: a file is complete, or it is not there."""

import os
import pathlib
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from typing import Any


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file atomically.

    Raises:
      OSError: the file cannot be written. An existing file stays unchanged.
    """
    write_by(path, lambda beside: beside.write_bytes(content))


def write_by(
    path: str | os.PathLike[str], write: Callable[[pathlib.Path], Any], ending: str = ""
) -> None:
    """Calls `write` with a temporary path in the folder of `path`, then renames that file.

    The temporary name ends in `ending`. If `path` is a symbolic link, its target is replaced and
    the link stays. If it is a pipe or a device, the bytes are written to it. An existing file keeps
    its permissions.

    Raises:
      OSError: the file cannot be written. An existing file stays unchanged. Errors name `path`.
    """
    place = pathlib.Path(os.path.realpath(path))
    streams = place.exists() and not place.is_file()
    if place.is_dir():
        raise IsADirectoryError(
            f"cannot write {path}: it is a folder; pass the name of a file in it"
        )
    try:
        beside, mode = _temporary(place.name, ending) if streams else _beside(place, ending)
    except OSError as error:
        raise type(error)(error.errno, f"cannot write it: {error.strerror}", str(path)) from None
    try:
        write(beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        if streams:
            with beside.open("rb") as file, place.open("wb") as stream:
                shutil.copyfileobj(file, stream)
        else:
            beside.chmod(mode)
            beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def _temporary(name: str, ending: str) -> tuple[pathlib.Path, int]:
    """An empty file in the system's temporary folder, and its mode."""
    handle, path = tempfile.mkstemp(ending, f".{name}.")
    os.close(handle)
    return pathlib.Path(path), 0o600


def _beside(place: pathlib.Path, ending: str) -> tuple[pathlib.Path, int]:
    """An empty file in the folder of `place`, and the mode that the file at `place` will have.

    The system applies the umask to the new file. Reading the umask directly would mean changing it,
    for all threads.
    """
    path = place.with_name(f".{place.name}.{secrets.token_hex(8)}{ending}")
    before = stat.S_IMODE(place.stat().st_mode) if place.exists() else None
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666 if before is None else 0o600)
    try:
        return path, stat.S_IMODE(os.fstat(handle).st_mode) if before is None else before
    finally:
        os.close(handle)
