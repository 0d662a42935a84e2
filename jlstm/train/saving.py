"""What a run saves: the arrays of its checkpoints, and the file of its best model."""

import pathlib
from typing import NamedTuple

from jax.sharding import Mesh

from jlstm.train import devices, step, trained
from jlstm.train.data.split import Data, Stream
from jlstm.train.model import Model
from jlstm.train.runs import model_file, processes
from jlstm.train.settings import Settings
from jlstm.train.trained import arrays_of, values_of


class Saved(NamedTuple):
    """The arrays of a checkpoint.

    Attributes:
      state: the state of the training.
      best: the best model so far. None: the data have no validation part.
    """

    state: step.State
    best: Model | None


class ModelFile:
    """The file of a run's model, in the folder of the run."""

    def __init__(
        self, settings: Settings, data: Data, place: pathlib.Path, mesh: Mesh | None
    ) -> None:
        own = settings.train
        rows = own.batch_size if isinstance(data.train, Stream) else None
        self._network, self._meaning = settings.network, data.meaning
        self._values = values_of(settings.task, data.meaning, settings.data, own.unroll, rows)
        self._place, self._mesh = place, mesh
        self._path = place / model_file.NAME

    def try_save(self, shapes: Model) -> None:
        """Raises before training the errors that `save` after it would raise.

        Args:
          shapes: the model with ShapeDtypeStructs for arrays.
        """
        model_file.try_save(
            self._path, self._network, shapes.network, arrays_of(shapes), self._values
        )

    def save(self, model: Model) -> None:
        """Writes, or replaces, the file. All processes call it.

        Raises:
          OSError: the file cannot be written.
        """
        model = devices.whole(self._mesh, model)

        def save() -> None:
            model_file.save(
                self._path, self._network, model.network, arrays_of(model), self._values
            )

        processes.by_first(save)

    def load(self) -> Model:
        """The model of the file, on the devices of the run."""
        return devices.everywhere(self._mesh, trained.load(self._path).model)

    def require_same_data(self) -> None:
        """ValueError if the data's names or normalisation are not those of the file's model."""
        if not self._path.exists():
            return
        try:
            before = trained.load(self._path).meaning
        except (TypeError, ValueError):
            return  # the file is damaged; this run writes it anew
        if before != self._meaning:
            raise ValueError(
                f"{self._place} holds a run on other data; restore the file that [data] names, add "
                "--overwrite to begin anew, or choose another folder"
            )
