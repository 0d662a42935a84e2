"""Files that are there whole or not at all."""

import os
import pathlib
import shutil
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
    gets the bytes.

    Raises:
      OSError: it cannot be written; what stood there before is untouched. Errors name `path`.
    """
    place = pathlib.Path(os.path.realpath(path))
    streams = place.exists() and not place.is_file()
    if place.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder; name a file in it")
    try:
        folder = None if streams else place.parent
        handle, name = tempfile.mkstemp(ending, f".{place.name}.", folder)
    except OSError as error:
        raise type(error)(error.errno, f"cannot write it: {error.strerror}", str(path)) from None
    os.close(handle)
    beside = pathlib.Path(name)
    try:
        write(beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        if streams:
            with beside.open("rb") as file, place.open("wb") as stream:
                shutil.copyfileobj(file, stream)
        else:
            mask = os.umask(0)
            os.umask(mask)
            beside.chmod(0o666 & ~mask)
            beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)
