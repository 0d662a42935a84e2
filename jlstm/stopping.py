"""Ends a command in order when the system asks for it."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


class _StoppedError(BaseException):
    """SIGTERM came. Like KeyboardInterrupt, only cleanup should handle it."""


@contextlib.contextmanager
def in_order() -> Iterator[None]:
    """Within this context, SIGTERM ends the command in order, as Ctrl-C does.

    Temporary files are removed and other processes are stopped. One line on standard error says
    that the command was stopped. The exit code is 143, the usual one for SIGTERM. Further SIGTERMs
    are ignored, as they would interrupt the cleanup. If SIGTERM is ignored or handled already, this
    changes nothing. Nor does it outside the main thread, where Python allows no handlers.
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
