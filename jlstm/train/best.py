"""The best model of a run so far."""

import dataclasses

# The metrics of which more is better.
HIGHER = ("accuracy",)


@dataclasses.dataclass
class Best:
    """The best evaluation so far. Checkpoints hold it.

    Attributes:
      step: the step that was evaluated.
      value: its metric on the validation part. None: there was no evaluation yet.
      stale: the number of evaluations since then.
    """

    step: int = 0
    value: float | None = None
    stale: int = 0

    def update(self, step: int, value: float, metric: str) -> bool:
        """Whether an evaluation is the best so far. NaN never is.

        >>> best = Best()
        >>> best.update(10, 0.5, "loss"), best.update(20, 0.7, "loss"), best.stale
        (True, False, 1)
        """
        if value == value and (self.value is None or _better(value, self.value, metric)):
            self.step, self.value, self.stale = step, value, 0
            return True
        self.stale += 1
        return False


def _better(value: float, best: float, metric: str) -> bool:
    return value > best if metric in HIGHER else value < best
