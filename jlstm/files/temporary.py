"""Names of temporary files, which tell whether the process that wrote one still runs."""

import contextlib
import functools
import hashlib
import os
import pathlib
import re
import secrets

# The system (a boot, and the processes seen there), the process, the tick it started at, and a
# random part. Every name has the same length, so it fits wherever the folder is.
_FORM = re.compile(r"\.jlstm-([0-9a-f]{12})-([0-9a-f]{8})-([0-9a-f]{12})-[0-9a-f]{8}\.tmp[.\w]*")
# Seconds after which a file of another system counts as left behind: a file that is being written
# changes all the time.
OLD = 24 * 3600


def name(ending: str = "") -> str:
    """A new name for a temporary file of this process. It ends in `ending`."""
    pid = os.getpid()
    start = _start(pid) or 0
    return f".jlstm-{_system()}-{pid:08x}-{start:012x}-{secrets.token_hex(4)}.tmp{ending}"


def remove_left_behind(folder: pathlib.Path, now: float) -> None:
    """Removes the temporary files in a folder that killed processes left there.

    Files of running processes stay. Whether a process of another system runs, such as of another
    computer that shares the folder, cannot be seen from here. Such files are removed when they are
    older than a day. A file that cannot be removed stays.

    Args:
      folder: the folder. Folders in it are not searched.
      now: the time by the clock of the folder's file system, which may be another computer's.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (form := _FORM.fullmatch(entry.name)) is None:
                continue
            system, pid, start = form[1], int(form[2], 16), int(form[3], 16)
            with contextlib.suppress(OSError):
                if system == _system() and start:
                    left = not _runs(pid, start)
                else:
                    left = now - entry.stat(follow_symlinks=False).st_mtime > OLD
                if left and entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)


@functools.cache
def _system() -> str:
    """What tells this boot of this computer, and this container on it, from all others."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()
        seen = f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return "0" * 12  # not Linux
    return hashlib.sha256(seen.encode()).hexdigest()[:12]


def _runs(pid: int, start: int) -> bool:
    """Whether the process that started at a tick still runs."""
    found = _start(pid)
    if found is not None:
        return found == start
    try:
        os.kill(pid, 0)  # sends nothing
    except PermissionError:
        return True  # of another user, whose processes /proc may hide
    except ProcessLookupError:
        pass
    return False


def _start(pid: int) -> int | None:
    """The tick at which a process started; None if there is no such process, or not on Linux."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in brackets, which may hold spaces and brackets.
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])
