"""How much memory this process holds, and the most it has held since it was last asked."""

import contextlib
import ctypes
import gc
import pathlib

STATUS = pathlib.Path("/proc/self/status")
RESET = pathlib.Path("/proc/self/clear_refs")


def resident_bytes() -> int | None:
    """What the process holds now, after giving back what it can; None where the system hides it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return _read("VmRSS")


def start_peak() -> None:
    """Forgets the peak so far."""
    with contextlib.suppress(OSError):
        RESET.write_text("5")


def peak_bytes() -> int | None:
    """The most that the process has held since `start_peak`."""
    return _read("VmHWM")


def _read(name: str) -> int | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith(name + ":")]
    return int(found[0].split()[1]) * 1024 if found else None
