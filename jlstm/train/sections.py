"""The names of the tables of a run's TOML file, and the tables [train] and [mesh]."""

import dataclasses

from jlstm import validation

TABLES = ("data", "task", "network", "optimizer", "train", "mesh")


@dataclasses.dataclass(frozen=True)
class Run:
    """The table [train].

    Attributes:
      out: the folder of the run.
      steps: the number of steps, each on one batch.
      batch_size: sequences in a batch.
      unroll: steps of each batch of a stream. The carry goes on to the next batch, the gradient
        does not (truncated backpropagation through time).
      steps_per_call: steps in one compiled call.
      evaluate_every: steps between evaluations on the validation split. None: ten in a run.
      save_every: steps between checkpoints. None: as evaluations.
      keep: the number of checkpoints that are kept.
      patience: evaluations without improvement after which the run stops. None: it never does.
      metric: the metric that chooses the best model. None: the task's loss.
      seed: the seed of the parameters, the order of sequences, augmentation and dropout.
    """

    out: str
    steps: int = 2000
    batch_size: int = 64
    unroll: int | None = None
    steps_per_call: int = 50
    evaluate_every: int | None = None
    save_every: int | None = None
    keep: int = 2
    patience: int | None = None
    metric: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = ("steps", "batch_size", "steps_per_call", "keep")
        for name in (*sizes, "unroll", "evaluate_every", "save_every", "patience"):
            value = getattr(self, name)
            if value is not None or name in sizes:
                validation.size(name, value)
        validation.number("seed", validation.integer("seed", self.seed), low=0, below=2**32)
        if not isinstance(self.out, str):
            raise TypeError(f"out is {validation.shown(self.out)}; expected the name of a folder")
        if not self.out.strip():  # pathlib takes it for the current folder
            raise ValueError(
                f"out is {self.out!r}; expected the name of a folder, or . for the current one"
            )
        if self.metric is not None and not isinstance(self.metric, str):
            raise TypeError(f'metric is {self.metric!r}; expected a name such as "accuracy"')

    @property
    def between_evaluations(self) -> int:
        """Steps between evaluations."""
        return self.evaluate_every or max(1, self.steps // 10)

    @property
    def between_saves(self) -> int:
        """Steps between checkpoints."""
        return self.save_every or self.between_evaluations


@dataclasses.dataclass(frozen=True)
class MeshSizes:
    """The table [mesh]: over how many devices a run divides its work.

    Attributes:
      data: groups of devices, each of which holds all parameters. None: the number of devices
        divided by `model`.
      model: devices of a group, over which parameters and the optimiser's state are divided. Each
        batch is divided over all `data` x `model` devices.
    """

    data: int | None = None
    model: int = 1

    def __post_init__(self) -> None:
        validation.size("model", self.model)
        if self.data is not None:
            validation.size("data", self.data)
