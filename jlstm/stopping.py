"""Ends a command in order on Ctrl-C, and when the system asks for it."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

_LINE = "jlstm: stopped"


class StoppedExit(SystemExit):
    """A signal ended the command in the midst of its work.

    The exit code is the one that shells give to a process that the signal ended.
    """

    def __init__(self, came: signal.Signals) -> None:
        self.number = 128 + came
        super().__init__(self.number)


def is_command() -> bool:
    """Whether this process is the command, not a program that imports jlstm.

    The package is imported before any of the command runs, and JAX takes most of that time.
    """
    module = sys.argv[:1] == ["-m"] and "jlstm" in sys.orig_argv
    return module or os.path.basename(sys.argv[0]) == "jlstm"


def exit_interrupted() -> NoReturn:
    """Ends the process after Ctrl-C, with one line on standard error and exit code 130."""
    print(_LINE, file=sys.stderr)
    raise StoppedExit(signal.SIGINT)


def exit_at_once(code: int) -> NoReturn:
    """Ends the process without the rest of Python's end. What was printed is written out."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):
            stream.flush()
    if "multiprocessing.util" in sys.modules:
        # Its resource tracker would print a warning of semaphores that nobody removed.
        sys.modules["multiprocessing.util"]._run_finalizers()
    os._exit(code)


@contextlib.contextmanager
def at_once(wanted: bool = True) -> Iterator[None]:
    """Within this context, Ctrl-C ends the process where it stands. It suits imports.

    If Ctrl-C raised an exception, a package that is being imported could catch it or print a
    traceback. The context has no effect if Ctrl-C is ignored or already handled, outside the main
    thread, or if `wanted` is false.
    """
    if (
        not wanted
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return

    def stop(number: int, frame: Any) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"{_LINE}\n".encode())
        os._exit(128 + signal.SIGINT)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def raised_again() -> Iterator[None]:
    """Within this context, a KeyboardInterrupt that Python would only print comes once more.

    It prints those that arise in callbacks, such as JAX's of the garbage collector, and goes on.
    """
    before = sys.unraisablehook

    def hook(seen: Any) -> None:
        if isinstance(seen.exc_value, KeyboardInterrupt):
            # Not now: it would arise in this callback.
            threading.Timer(0.01, signal.raise_signal, [signal.SIGINT]).start()
        else:
            before(seen)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def interrupted(error: BaseException | None) -> bool:
    """Whether an error is, or comes from, a KeyboardInterrupt.

    Errors of C++ that called Python only quote it.
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


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
        print(_LINE, file=sys.stderr)
        raise StoppedExit(signal.SIGTERM) from None
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
