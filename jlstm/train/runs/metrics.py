"""What a run measured, as it goes: a line of JSON a report, and events for TensorBoard."""

import contextlib
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from jlstm import validation
from jlstm.files import writing
from jlstm.train.runs import appending, events

NAME = "metrics.jsonl"
_NO_EVENTS = "there are no events for TensorBoard"


class Report(NamedTuple):
    """One line of metrics.jsonl.

    Attributes:
      step: optimiser steps so far.
      split: "train", "valid" or "test".
      metrics: values by name; NaN where a value was not finite.
      seconds: seconds of training so far, those before `--resume` included.
    """

    step: int
    split: str
    metrics: dict[str, float]
    seconds: float


class Log:
    """Writes reports. `opened` makes one. Without a file it writes nothing.

    Attributes:
      seconds: the seconds of the last report before `--resume`; 0 for a new run.
      warnings: lines that say why there are no events for TensorBoard, or none any more.
    """

    def __init__(
        self, append: Callable[[bytes], None] | None, events: events.Write | None, seconds: float
    ) -> None:
        self._append = append
        self._add_events = events
        self.seconds = seconds
        self.warnings: list[str] = []

    def write(self, step: int, split: str, metrics: Mapping[str, float], *, seconds: float) -> None:
        """Adds a report, as in `Report`, which is in the file when this returns.

        If the events for TensorBoard cannot be written, there are no further ones, and `warnings`
        says so.

        Raises:
          OSError: metrics.jsonl cannot be written. The reports before stay.
        """
        if self._append is None:
            return
        line = {"step": step, "split": split, "metrics": plain(metrics)}
        line["seconds"] = round(seconds, 3)
        self._append((json.dumps(line, allow_nan=False) + "\n").encode())
        if self._add_events is not None:
            values = {f"{split}/{n}": v for n, v in metrics.items() if math.isfinite(v)}
            try:
                self._add_events(step, values)
            except OSError as error:
                self._add_events = None
                self.warnings.append(f"{_NO_EVENTS} after step {step}: {writing.told(error)}")


@contextlib.contextmanager
def opened(folder: pathlib.Path, *, resumed: int | None = None) -> Iterator[Log]:
    """A `Log` that writes to a run's folder.

    Without the package tensorboardX there are no events for TensorBoard.

    Args:
      folder: the folder, which exists.
      resumed: the step that training goes on from. Later reports are dropped, and those that a
        killed process did not write whole. None for a new run: nothing of a former one stays.

    Raises:
      ValueError: metrics.jsonl has a line that is no report.
      OSError: metrics.jsonl cannot be written.
    """
    path = folder / NAME
    kept = [] if resumed is None else [each for each in read(folder) if each.step <= resumed]
    lines = [json.dumps(each._asdict() | {"metrics": plain(each.metrics)}) for each in kept]
    writing.write_bytes(path, "".join(line + "\n" for line in lines).encode())
    before = max((each.seconds for each in kept), default=0.0)
    # Events from that step on, which a killed process wrote, are hidden by TensorBoard.
    purged = None if resumed is None else resumed + 1
    with contextlib.ExitStack() as stack:
        append, add_events, warnings = stack.enter_context(appending.opened(path)), None, []
        try:
            add_events = stack.enter_context(events.opened(folder, purged=purged))
        except OSError as error:
            warnings.append(f"{_NO_EVENTS}: {writing.told(error)}")
        except Exception as error:  # tensorboardX and protobuf of versions that do not fit
            warnings.append(f"{_NO_EVENTS}: tensorboardX cannot be used: {error}")
        log = Log(append, add_events, before)
        log.warnings += warnings
        yield log


def read(folder: str | os.PathLike[str]) -> list[Report]:
    """The reports of a run, oldest first. A last line that is not whole is left out.

    Raises:
      ValueError: the file cannot be read, or a line is no report. The message has its number.
    """
    path = pathlib.Path(folder) / NAME
    try:
        *lines, _ = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(_report(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError(
                f"{path}, line {number}: {validation.fitting(line[:100])!r} is no report of "
                "`jlstm train`; remove the line"
            ) from None
    return found


def _report(line: Any) -> Report:
    metrics = {
        str(name): math.nan if value is None else float(value)
        for name, value in line["metrics"].items()
    }
    return Report(int(line["step"]), str(line["split"]), metrics, float(line["seconds"]))


def plain(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics as JSON has them, which knows no NaN.

    >>> plain({"loss": float("nan"), "accuracy": 0.5})
    {'loss': None, 'accuracy': 0.5}
    """
    values = {name: float(value) for name, value in metrics.items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
