"""A lock on a folder, so that two processes do not write to it at once."""

import contextlib
import errno
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator

from jlstm import validation

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Holds the lock of a folder. The system releases it when the process ends, however it does.

    The file stays: were it removed, two processes could lock two files of one name.

    Raises:
      ValueError: another process holds it.
    """
    with (folder / NAME).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = validation.fitting(" ".join(file.read(200).split()))
            raise ValueError(
                f"another process ({holder or 'unknown'}) trains in {folder}; wait until it ends, "
                "or choose another folder"
            ) from None
        except OSError as error:  # some file systems of clusters have no locks
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
