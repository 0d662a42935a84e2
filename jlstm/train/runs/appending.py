"""Adds pieces to a file. Each is whole, or not there."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator

from jlstm.files import writing


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[Callable[[bytes], None]]:
    """A function that adds bytes to the end of a file. They are in the file when it returns.

    Args:
      path: the file. It is created if it does not exist.

    Raises:
      OSError: here and in the function, the file cannot be written. The error names it. What was
        added before stays.
    """
    with writing.errors_naming(path):
        file = path.open("ab", buffering=0)  # a buffer would keep a piece that a full disk refused

    def append(content: bytes) -> None:
        size = os.fstat(file.fileno()).st_size
        try:
            with writing.errors_naming(path):
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(size)
            raise

    try:
        yield append
    finally:
        with writing.errors_naming(path):
            file.close()
