"""Files of bytes that stay where they are, as opposed to pipes and devices."""

import errno
import os
import stat


def require(path: str | os.PathLike[str]) -> None:
    """OSError if something is at a path that is neither a regular file nor a folder.

    A reader would wait for a pipe for ever, and /dev/zero does not end.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return  # opening it has the clearer error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(
            errno.EINVAL, "it is a pipe or a device, not a regular file; copy it to a file first"
        )
