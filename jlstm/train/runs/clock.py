"""The time that a run takes."""

import time


class Clock:
    """Seconds of training, and seconds since the last report."""

    def __init__(self, before: float) -> None:
        self._began = self._reported = time.monotonic()
        self._before = before

    def now(self) -> float:
        """Seconds of training so far, those before a resumption included."""
        return self._before + time.monotonic() - self._began

    def since_report(self) -> float:
        """Seconds since this was last called, or since the clock began."""
        last, self._reported = self._reported, time.monotonic()
        return max(self._reported - last, 1e-9)
