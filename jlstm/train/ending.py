"""How a run ends: what stops it, what is said of it, and what it returns."""

import pathlib
from typing import NamedTuple

from jlstm.train.best import Best
from jlstm.train.runs import stopping
from jlstm.train.settings import Settings


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
      folder: the folder of the run.
      step: the number of steps made.
      best_step: the step that the saved model is of.
      metrics: the metrics of the saved model by split: "valid" and "test", as far as there are any.
      seconds: seconds of training, those before a resumption included.
      exit_code: 0, or the exit code that stands for the signal that stopped the run.
      stopped: why the run stopped before its last step. "": it did not.
      warnings: lines about what could not be written or drawn, beside checkpoints and model.
    """

    folder: pathlib.Path
    step: int
    best_step: int
    metrics: dict[str, dict[str, float]]
    seconds: float
    exit_code: int
    stopped: str
    warnings: tuple[str, ...]


def why_stopped(settings: Settings, done: int, best: Best, stop: stopping.Stop) -> str:
    """Why a run stops after `done` steps, or ''. All processes call it."""
    own = settings.train
    if stop.anywhere() and done < own.steps:
        return f"stopped after step {done} of {own.steps}; go on with --resume"
    if own.patience is not None and best.stale >= own.patience and done < own.steps:
        return f"stopped after step {done}: {best.stale} evaluations without improvement"
    return ""


def advice(settings: Settings) -> str:
    """What to do after the loss became NaN or infinite."""
    rate = settings.optimizer.learning_rate
    return (
        f"the state before that step is saved; try a learning_rate below {rate:g}, or "
        "clip_norm in [optimizer], and look at the data"
    )
