"""Whether the data hold what a task reads.

JAX would clamp a token and broadcast a shape silently.
"""

from typing import Any

import numpy as np

from jlstm.train.data.split import Data, Meaning, Split, Stream
from jlstm.train.tasks import ctc
from jlstm.train.tasks.classify import Classify
from jlstm.train.tasks.ctc import Ctc
from jlstm.train.tasks.forecast import Forecast
from jlstm.train.tasks.label import Label
from jlstm.train.tasks.regress import Regress


def require_fitting(task: Any, data: Data) -> None:
    """Looks at all splits of a data set.

    Raises:
      ValueError: a token, a class or a length is out of range, the data name more classes or tokens
        than the task has, a target is not finite, an array has another shape than the task's, a
        sequence is too short for its targets, or forecasts do not go on from the inputs. The
        message names the split and the element.
    """
    _require_named(task, data.meaning)
    if isinstance(task, Forecast):
        _require_going_on(task, data.meaning)
    for name in ("train", "valid", "test"):
        split = getattr(data, name)
        if isinstance(split, Stream):
            most = getattr(task, "vocabulary", None)
            _require_range(f"{name} tokens", split.tokens, 0, most, "vocabulary")
        elif split is not None:
            _require_split(name, task, split)


def _require_split(name: str, task: Any, split: Split) -> None:
    count, steps = split.xs.shape[:2]
    if len(split.targets) != count:
        raise ValueError(
            f"{name} has {count} sequences, but targets of {len(split.targets)}; expected as many"
        )
    if split.xs.ndim == 2:
        _require_range(f"{name} xs", split.xs, 0, getattr(task, "vocabulary", None), "vocabulary")
    if split.lengths is not None:
        _require_shape(f"{name} lengths", split.lengths, (count,))
        _require_range(f"{name} lengths", split.lengths, 0, steps + 1)
    wanted = {
        Classify: (count,),
        Label: (count, steps),
        Ctc: (count, None),
        Regress: (count, getattr(task, "values", 1)),
        Forecast: (count, getattr(task, "horizon", 1), getattr(task, "values", 1)),
    }.get(type(task))
    if wanted is None:
        return
    targets = f"{name} targets"
    _require_shape(targets, split.targets, wanted)
    if isinstance(task, (Classify, Label, Ctc)):
        low = 0 if isinstance(task, Classify) else -1  # -1 does not count
        _require_range(targets, split.targets, low, task.classes, "classes")
        if isinstance(task, Ctc):
            _require_steps_for_targets(name, split)
    elif len(strays := np.argwhere(~np.isfinite(split.targets))):
        at = tuple(strays[0].tolist())
        raise ValueError(f"{targets}{list(at)} is {split.targets[at]}; expected a finite number")


def _require_steps_for_targets(name: str, split: Split) -> None:
    """ValueError if a sequence is too short for any path of CTC to spell its targets."""
    found = split.targets >= 0
    if len(holes := np.argwhere(found[:, 1:] & ~found[:, :-1])):
        row, column = holes[0].tolist()
        raise ValueError(
            f"{name} targets[{row}, {column}] is {split.targets[row, column]}, but a class follows "
            "it; expected -1 behind the last class alone"
        )
    count, steps = split.xs.shape[:2]
    lengths = np.full(count, steps) if split.lengths is None else split.lengths
    short = np.flatnonzero(lengths < ctc.steps_needed(split.targets))
    if len(short):
        row = int(short[0])
        needed = int(ctc.steps_needed(split.targets[row]))
        others = f" (and {len(short) - 1} others)" if len(short) > 1 else ""
        raise ValueError(
            f"{name} sequence {row}{others} has {lengths[row]} steps, but its "
            f"{found[row].sum()} targets need at least {needed}: one for each, and one for a blank "
            "between two that are equal; leave it out, or give the inputs more steps"
        )


def _require_shape(name: str, array: np.ndarray, wanted: tuple[int | None, ...]) -> None:
    fits = [each in (None, size) for each, size in zip(wanted, array.shape, strict=False)]
    if array.ndim != len(wanted) or not all(fits):
        said = ["any" if each is None else each for each in wanted]
        raise ValueError(
            f"{name} have the shape {list(array.shape)}, but the task needs "
            f"[{', '.join(map(str, said))}]; correct the options of [task], or leave out those "
            "that the data determine"
        )


def _require_range(
    name: str, array: np.ndarray, low: int, below: int | None, option: str = ""
) -> None:
    if below is None or not array.size or (array.min() >= low and array.max() < below):
        return
    at = tuple(np.argwhere((array < low) | (array >= below))[0].tolist())
    remedy = ""
    if option and array[at] >= below:
        remedy = (
            f"; {option} of [task] is {below}: set it to at least {array.max() + 1}, or leave it "
            "out"
        )
    raise ValueError(
        f"{name}{list(at)} is {array[at]}; expected a whole number from {low} to "
        f"{below - 1}{remedy}"
    )


def _require_named(task: Any, meaning: Meaning) -> None:
    """ValueError if the data name more classes or tokens than the task has.

    More than the data have are allowed: a later file may have them.
    """
    for option, named in (("classes", meaning.classes), ("vocabulary", meaning.vocabulary)):
        size = getattr(task, option, None)
        if size is not None and size < len(named):
            what = "classes" if option == "classes" else "tokens"
            raise ValueError(
                f"{option} of [task] is {size}, but the data have {len(named)} {what}; set it to "
                f"at least {len(named)}, or leave it out"
            )


def _require_going_on(task: Forecast, meaning: Meaning) -> None:
    """ValueError if the first inputs are not the values that forecasts go on from."""
    if not task.relative and task.strategy != "rollout":
        return
    why = "relative forecasts go" if task.relative else "a roll-out goes"
    first = meaning.inputs[: task.values]
    if meaning.inputs and meaning.targets and first != meaning.targets:
        raise ValueError(
            f"{why} on from the first inputs, which are {', '.join(first)}, but the targets are "
            f"{', '.join(meaning.targets)}; name the targets first in inputs, in the same order"
        )
    for kind in ("mean", "scale"):
        given = getattr(meaning, f"input_{kind}")[: task.values]
        wanted = getattr(meaning, f"target_{kind}")
        if given and wanted and given != wanted:
            raise ValueError(
                f"{why} on from the first inputs, but these are normalised by the {kind} "
                f'{list(given)}, and the targets by {list(wanted)}; use the source "series", '
                'which normalises both alike, or strategy = "direct" with relative = false'
            )
