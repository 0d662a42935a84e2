"""A run from its settings to its best model, in a folder that survives the process."""

import os
import pathlib

from jlstm import validation
from jlstm.train import devices, requirements
from jlstm.train.data.split import Data
from jlstm.train.ending import Outcome
from jlstm.train.optimizer import spans_run
from jlstm.train.runs import folder, processes, resolved, stopping
from jlstm.train.settings import Settings, tables_of
from jlstm.train.tasks import fitting
from jlstm.train.training import Training


def run(
    settings: Settings,
    data: Data,
    *,
    resume: bool = False,
    overwrite: bool = False,
    silent: bool = False,
    file: str | os.PathLike[str] | None = None,
) -> Outcome:
    """Trains a model, or goes on with its training, in the folder that the settings name.

    Args:
      settings: the settings.
      data: the data set.
      resume: go on from the newest checkpoint of the folder.
      overwrite: remove a run that the folder holds.
      silent: show neither the parts of the model nor progress.
      file: the TOML file that the settings are from. Errors of the settings name it.

    Raises:
      ValueError: the data do not fit the task, the folder holds a run or cannot be written to, the
        machine has too little memory, the devices cannot share a batch, the metric is unknown, or,
        as DivergedError, the loss became NaN or infinite. The state before that step is saved.
      OSError: a checkpoint, the model or metrics.jsonl cannot be written. The checkpoint before
        stays.
    """
    own = settings.train
    with validation.plain_errors(file):
        fitting.require_fitting(settings.task, data)
        requirements.require_metric(settings, data)
        requirements.require_memory(settings, data)
        mesh = devices.mesh_of(settings.mesh, own.batch_size)
    training = Training(settings, data, pathlib.Path(own.out), mesh)
    spanned = spans_run(settings.optimizer)
    opened = folder.opened(
        own.out,
        tables_of(settings),
        resume=resume,
        overwrite=overwrite,
        # Another number of steps would be another learning rate at every step.
        may_change=resolved.MAY_CHANGE - ({"train.steps"} if spanned else set()),
        try_out=training.try_model,
    )
    with (
        processes.entered_by_first(opened, pathlib.Path(own.out)),
        stopping.requests() as stop,
    ):
        return training.run(resume, silent, stop)
