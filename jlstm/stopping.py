"""Ends a command in order when the system asks for it."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


class _StoppedError(BaseException):
    """Like KeyboardInterrupt, nothing but cleaning up should handle it."""


@contextlib.contextmanager
def in_order() -> Iterator[None]:
    """SIGTERM, which would end the process at once, ends what runs within this as Ctrl-C would.

    So temporary files are removed and other processes are stopped. One line on standard error says
    so, and the exit code is 143, as shells give it for SIGTERM. Further SIGTERMs are ignored, as
    they would interrupt the cleaning up. Nothing changes if SIGTERM is ignored or handled already,
    or outside the main thread, where Python allows no handlers.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _StoppedError

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except _StoppedError:
        print("jlstm: stopped", file=sys.stderr)
        sys.exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
