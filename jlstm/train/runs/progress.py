"""Shows the progress of training on standard error: a bar on a terminal, otherwise lines."""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from jlstm import validation

EVERY = 5.0  # seconds between plain lines


class Progress:
    """Shows the progress of training. `shown` makes one.

    This class shows nothing. Its subclasses show what the docstrings of its methods say.
    """

    def update(
        self, step: int, metrics: Mapping[str, float], sequences_per_second: float | None = None
    ) -> None:
        """Shows how far the training is.

        Args:
          step: optimiser steps so far.
          metrics: values by name, such as {"loss": 0.3}. A bar shows two of them.
          sequences_per_second: the speed, where it is known.
        """

    def say(self, line: str) -> None:
        """Prints a line above the bar. What is not printable is escaped."""


@contextlib.contextmanager
def shown(
    steps: int,
    *,
    start: int = 0,
    silent: bool = False,
    stream: TextIO | None = None,
    every: float = EVERY,
) -> Iterator[Progress]:
    """A `Progress` on standard error: a bar on a terminal, otherwise lines.

    Args:
      steps: optimiser steps of the whole run.
      start: steps that were done before, by a run that is resumed.
      silent: show nothing, not even what `say` is given.
      stream: where to; None means standard error.
      every: seconds that must pass between two plain lines.
    """
    stream = stream or sys.stderr  # which is None in a program without a console
    if silent or stream is None:
        yield Progress()
    elif not stream.isatty():
        yield _Lines(steps, start, stream, every)
    else:
        with _bar(stream) as bar:
            yield _Bar(bar, steps, start)


def words(metrics: Mapping[str, float], most: int | None = None) -> str:
    """Metrics in short: the loss, then the others, then the norm of the gradients.

    Args:
      metrics: values by name. A compiled function returns them in alphabetical order.
      most: how many to show; None for all.

    >>> words({"accuracy": 0.98, "gradient_norm": 1.0, "loss": 0.12345}, most=2)
    'loss 0.1235  accuracy 0.9800'
    """
    place = {"loss": 0, "gradient_norm": 2}
    names = sorted(metrics, key=lambda name: place.get(name, 1))[:most]
    return "  ".join(f"{name} {_number(metrics[name])}" for name in names)


class _Lines(Progress):
    def __init__(self, steps: int, start: int, stream: TextIO, every: float) -> None:
        self._steps = steps
        self._start = start
        self._stream = stream
        self._every = every
        self._began = time.monotonic()
        self._printed = -every  # seconds after the beginning; the first report is printed

    def update(
        self, step: int, metrics: Mapping[str, float], sequences_per_second: float | None = None
    ) -> None:
        now = time.monotonic() - self._began
        if now - self._printed < self._every and step < self._steps:
            return
        self._printed = now
        line = f"step {step} of {self._steps}  {words(metrics)}"
        if sequences_per_second is not None:
            line += f"  {_speed(sequences_per_second)}"
        done, left = step - self._start, self._steps - step
        if done > 0 and left > 0:
            line += f"  {_duration(now * left / done)} left"
        self.say(line)

    def say(self, line: str) -> None:
        print(validation.fitting(line), file=self._stream, flush=True)


class _Bar(Progress):
    def __init__(self, bar: Any, steps: int, start: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=steps, completed=start, said="compiling")

    def update(
        self, step: int, metrics: Mapping[str, float], sequences_per_second: float | None = None
    ) -> None:
        said = words(metrics, most=2)
        if sequences_per_second is not None:
            said += f"  {_speed(sequences_per_second)}"
        self._bar.update(self._task, completed=step, said=validation.fitting(said))

    def say(self, line: str) -> None:
        self._bar.console.print(validation.fitting(line), markup=False, highlight=False)


def _bar(stream: TextIO) -> Any:
    """A bar that leaves the metrics most of a line of 80 characters."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left
    from rich.table import Column

    whole = {"no_wrap": True, "overflow": "ignore"}
    return Progress(
        BarColumn(bar_width=12),
        MofNCompleteColumn(table_column=Column(**whole)),
        TextColumn("{task.fields[said]}", markup=False, table_column=Column(overflow="ellipsis")),
        Left(table_column=Column(**whole)),
        TextColumn("left", table_column=Column(**whole)),
        console=Console(file=stream),
    )


def _number(value: float) -> str:
    value = float(value)
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3g}"


def _speed(sequences_per_second: float) -> str:
    return f"{sequences_per_second:,.0f} sequences/s"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
