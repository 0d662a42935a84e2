"""Folders for files that are to be written."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


def make(path: pathlib.Path) -> None:
    """Creates the folder that a file at `path` is in, or would be.

    Raises:
      OSError: it cannot be created.
    """
    folder = _of(path)
    if not folder.exists():  # a file has a clearer error when a file is to be created in it
        folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def made(path: pathlib.Path) -> Iterator[None]:
    """As `make`. What was created is removed at the end.

    Raises:
      OSError: it cannot be created.
    """
    folder = _of(path)
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        make(path)
        yield
    finally:
        for each in missing:
            with contextlib.suppress(OSError):  # not empty any more: another process uses it
                each.rmdir()


def _of(path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(os.path.realpath(path)).parent
