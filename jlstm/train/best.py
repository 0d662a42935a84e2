"""The best model of a run so far."""

import dataclasses
from typing import Any

# The metrics of which more is better.
HIGHER = ("accuracy",)


@dataclasses.dataclass
class Best:
    """The best evaluation so far. Checkpoints hold all of it.

    The model's file may be of a later step than the newest checkpoint when a run is killed. So
    checkpoints have the model as well, and `--resume` writes the file again.

    Attributes:
      model: the parameters that were evaluated. Before that, any of the same form.
      step: the step that was evaluated.
      value: its metric on the validation part. None: there was no evaluation yet.
      stale: the number of evaluations since then.
    """

    model: Any
    step: int = 0
    value: float | None = None
    stale: int = 0

    def update(self, model: Any, step: int, value: float, metric: str) -> bool:
        """Whether an evaluation is the best so far. NaN never is.

        >>> best = Best("a")
        >>> best.update("b", 10, 0.5, "loss"), best.update("c", 20, 0.7, "loss")
        (True, False)
        >>> best
        Best(model='b', step=10, value=0.5, stale=1)
        """
        if value == value and (self.value is None or _better(value, self.value, metric)):
            self.model, self.step, self.value, self.stale = model, step, value, 0
            return True
        self.stale += 1
        return False

    def notes(self) -> dict[str, Any]:
        """All but the model, as JSON."""
        return {"step": self.step, "value": self.value, "stale": self.stale}


def _better(value: float, best: float, metric: str) -> bool:
    return value > best if metric in HIGHER else value < best
