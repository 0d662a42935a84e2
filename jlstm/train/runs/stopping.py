"""Turns Ctrl-C and SIGTERM into a request that a training loop looks at between its calls."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from jlstm.train.runs import orbax


class Stop:
    """Whether a signal has asked the loop to end. `requests` makes one.

    Attributes:
      number: the signal that came, SIGINT or SIGTERM; None so far.
      waits: whether the loop has made a step that would be lost. Without one, a signal does what it
        did before, such as to raise KeyboardInterrupt.
    """

    number: signal.Signals | None = None
    waits: bool = False

    def __bool__(self) -> bool:
        """Whether this process was asked to end."""
        return self.number is not None

    def anywhere(self) -> bool:
        """Whether any process of the run was asked to end.

        All processes call it at the same step, so that all of them save the same one. With several
        processes it costs a message over the network.
        """
        return not orbax.agree(not self)

    @property
    def exit_code(self) -> int:
        """The exit code that shells give to a process that the signal ended; 0 without one."""
        return 0 if self.number is None else 128 + self.number


@contextlib.contextmanager
def requests() -> Iterator[Stop]:
    """Handles signals: the first SIGINT or SIGTERM sets the `Stop` that this context yields.

    A second signal raises KeyboardInterrupt at once. A signal that comes before `waits` is set does
    what it did before this context. Signals are not handled outside the main thread, where Python
    allows no handlers. Ignored signals stay ignored, such as SIGINT in a background job.

    >>> with requests() as stop:
    ...     stop.waits = True
    ...     signal.raise_signal(signal.SIGTERM)
    ...     bool(stop), stop.exit_code
    (True, 143)
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def seen(came: int, frame: Any) -> None:
        again, stop.number = bool(stop), signal.Signals(came)
        if not stop.waits and callable(handler := before[came]):
            handler(came, frame)
        if again:
            raise KeyboardInterrupt

    before: dict[int, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, seen)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
