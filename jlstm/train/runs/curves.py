"""A picture of the metrics of a run, by step."""

import importlib.util
import io
import math
import pathlib
from typing import Any

from jlstm.files import writing
from jlstm.train.runs.metrics import Report, read

NAME = "curves.png"


def draw(folder: pathlib.Path) -> pathlib.Path | None:
    """Draws curves.png from the metrics.jsonl of a run: a panel a metric, a line a split.

    Returns:
      The path of the picture; None if there is nothing to draw yet, or without matplotlib.

    Raises:
      ValueError: metrics.jsonl has a line that is no report.
      OSError: the picture cannot be written.
    """
    reports = read(folder)
    names = list(dict.fromkeys(name for each in reports for name in each.metrics))
    if not names or importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(names), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for n, name in enumerate(names):
        _panel(figure.add_subplot(1, len(names), n + 1), name, reports)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    writing.write_bytes(folder / NAME, picture.getvalue())
    return folder / NAME


def try_draw(folder: pathlib.Path) -> list[str]:
    """Draws as `draw` does. Returns lines that say why that failed; none if it did not.

    A run that ended well did so without its picture.
    """
    try:
        draw(folder)
    except OSError as error:
        return [writing.told(error)]
    except Exception as error:  # of matplotlib, or of a metrics.jsonl that somebody edited
        return [f"cannot draw {folder / NAME}: {error}"]
    return []


def points(reports: list[Report], split: str, name: str) -> list[tuple[int, float]]:
    """The steps and values of a metric on a split, where it was finite."""
    pairs = ((each.step, each.metrics.get(name)) for each in reports if each.split == split)
    return [(step, value) for step, value in pairs if value is not None and math.isfinite(value)]


def _panel(axes: Any, name: str, reports: list[Report]) -> None:
    values = []
    for split in dict.fromkeys(each.split for each in reports):
        if found := points(reports, split, name):
            steps, line = zip(*found, strict=True)
            values += line
            axes.plot(steps, line, marker="o" if len(line) < 20 else "", ms=3, label=split)
    if values and min(values) > 0 and max(values) > 100 * min(values):
        axes.set_yscale("log")
    # Names from a config are no formulas: a "$" would begin one.
    axes.set_title(name.replace("$", r"\$"))
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    if values:
        axes.legend()
