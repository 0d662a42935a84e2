"""Loads the trained model that a command names: the folder of a run, or a model file."""

import pathlib

from jlstm.train import trained
from jlstm.train.runs import model_file
from jlstm.train.trained import Trained


def load(path: pathlib.Path) -> Trained:
    """The model of a run.

    Args:
      path: the folder of a run, or its model file.

    Raises:
      ValueError: there is no model, or the file is not one of `jlstm train`.
    """
    return trained.load(file(path))


def file(path: pathlib.Path) -> pathlib.Path:
    """The model file of a run.

    Raises:
      ValueError: the folder holds none.
    """
    if not path.is_dir():
        return path
    if not (found := path / model_file.NAME).is_file():
        raise ValueError(
            f"{path} has no {model_file.NAME}; pass the folder of a run that ended or was evaluated"
        )
    return found
