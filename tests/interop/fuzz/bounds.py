"""The limits within which every reader stays, whatever is in a file."""

import pathlib
import time

from tests.interop.test_bad_files import peak_memory

SECONDS = 1.0
LITTLE, TIMES = 64 << 20, 4  # bytes of memory: LITTLE and TIMES the file
LONGEST = 2_000  # characters of an error


def files_of(path):
    """A file, and what belongs to it."""
    return [p for p in path.parent.glob(f"{path.stem}*") if p.is_file()]


def refused(read, path, named=None):
    """Reads a file that may be broken; its error, or None.

    Asserts that the time and the memory are bounded by the size of the file, and that nothing is
    written beside it. An error must be a ValueError or TypeError that names the file and is short.
    """
    path = pathlib.Path(path)
    before = set(path.parent.iterdir())
    size = sum(file.stat().st_size for file in files_of(path))
    held, most = peak_memory(anew=True), SECONDS + size / 20e6
    error, took = timed(read, path)
    more = peak_memory() - held
    assert set(path.parent.iterdir()) == before
    if took >= most:  # the first read of a process imports packages, too
        took = timed(read, path)[1]
    assert took < most, f"{took:.2f} s"
    assert more < LITTLE + TIMES * size, f"{more >> 20} MiB for {size} bytes: {error}"
    if error is not None:
        words = str(error)
        assert (path.stem if named is None else named) in words, words[:500]
        assert 20 < len(words) < LONGEST, words[:500]
        assert words.isprintable(), words[:500]
    return error


def timed(read, path):
    """The error of reading a file, or None, and the seconds of processor time."""
    began, error = time.process_time(), None
    try:
        read(path)
    except (ValueError, TypeError) as found:
        error = found
    return error, time.process_time() - began
