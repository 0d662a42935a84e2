"""Files that are there whole or not at all."""

import os
import pathlib
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from typing import Any


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file so that it is there whole or not at all.

    Raises:
      OSError: it cannot be written; what stood there before is untouched.
    """
    write_by(path, lambda beside: beside.write_bytes(content))


def write_by(
    path: str | os.PathLike[str], write: Callable[[pathlib.Path], Any], ending: str = ""
) -> None:
    """Lets `write` make a file beside `path`, its name with that ending, and puts it in place.

    Where `path` is a link, what it points to is replaced and the link stays; a pipe or a device
    gets the bytes. Who may read and write a file that was there stays as it was.

    Raises:
      OSError: it cannot be written; what stood there before is untouched. Errors name `path`.
    """
    place = pathlib.Path(os.path.realpath(path))
    streams = place.exists() and not place.is_file()
    if place.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder; name a file in it")
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
    """An empty file in the folder of temporary files, and its mode."""
    handle, path = tempfile.mkstemp(ending, f".{name}.")
    os.close(handle)
    return pathlib.Path(path), 0o600


def _beside(place: pathlib.Path, ending: str) -> tuple[pathlib.Path, int]:
    """An empty file beside a place, and the mode that a file in that place is to have.

    The system alone applies the umask: to ask for it is to change it, for all threads.
    """
    path = place.with_name(f".{place.name}.{secrets.token_hex(8)}{ending}")
    before = stat.S_IMODE(place.stat().st_mode) if place.exists() else None
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666 if before is None else 0o600)
    try:
        return path, stat.S_IMODE(os.fstat(handle).st_mode) if before is None else before
    finally:
        os.close(handle)
