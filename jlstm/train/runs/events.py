"""A file of events, from which TensorBoard draws curves while a run goes on."""

import contextlib
import importlib.util
import os
import pathlib
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jlstm.train.runs import appending

PREFIX = "events.out.tfevents."

Write = Callable[[int, Mapping[str, float]], None]


@contextlib.contextmanager
def opened(folder: pathlib.Path, *, purged: int | None = None) -> Iterator[Write | None]:
    """A function of a step and of values by name, which adds them to a new file of events.

    The writer of tensorboardX is not used: it writes in a thread, and waits forever once that
    thread met a full disk.

    Args:
      folder: the folder of the file.
      purged: TensorBoard hides the events of other files of the folder from this step on. None: it
        hides none.

    Returns:
      The function; None without the package tensorboardX, which has the form of events.

    Raises:
      OSError: here and in the function, the file cannot be written. The error names it.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        yield None
        return
    from tensorboardX.proto import event_pb2
    from tensorboardX.summary import scalar

    made: Any = event_pb2  # its names are made when it is imported
    path = folder / f"{PREFIX}{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
    with appending.opened(path) as append:

        def event(**parts: Any) -> bytes:
            return _record(made.Event(wall_time=time.time(), **parts).SerializeToString())

        append(event(file_version="brain.Event:2"))
        if purged is not None:
            start = made.SessionLog(status=made.SessionLog.START)
            append(event(step=purged, session_log=start))

        def write(step: int, values: Mapping[str, float]) -> None:
            records = [event(step=step, summary=scalar(name, v)) for name, v in values.items()]
            append(b"".join(records))

        yield write


def _record(content: bytes) -> bytes:
    """The form of TFRecord: the length and the content, each with its checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(content))
    sums = (struct.pack("<I", masked_crc32c(part)) for part in (length, content))
    return length + next(sums) + content + next(sums)
