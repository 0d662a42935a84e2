"""The current and the peak memory of this process."""

import contextlib
import ctypes
import gc
import pathlib

STATUS = pathlib.Path("/proc/self/status")
RESET = pathlib.Path("/proc/self/clear_refs")


def resident_bytes() -> int | None:
    """The resident memory after freeing what is possible; None if the system does not report it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return _read("VmRSS")


def start_peak() -> None:
    """Resets the peak."""
    with contextlib.suppress(OSError):
        RESET.write_text("5")


def peak_bytes() -> int | None:
    """The peak since `start_peak`; None if the system does not report it."""
    return _read("VmHWM")


def _read(name: str) -> int | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith(name + ":")]
    return int(found[0].split()[1]) * 1024 if found else None
