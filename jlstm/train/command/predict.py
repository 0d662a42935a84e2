"""The command `jlstm predict`."""

import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from jlstm import validation
from jlstm.files import writing
from jlstm.terminal import say
from jlstm.train import predicting
from jlstm.train.command import loading
from jlstm.train.data.tables import new, predictions
from jlstm.train.tasks import ctc, names
from jlstm.train.tasks.forecast import Forecast
from jlstm.train.trained import Trained


def predict(path: pathlib.Path, file: pathlib.Path, out: pathlib.Path) -> None:
    """Predicts from a file of new sequences, and writes the predictions to a table.

    Args:
      path: the folder of a run, or its model file.
      file: a CSV, Parquet or .npz file with the inputs that the model was trained on.
      out: the .csv or .parquet file to write. If it exists, it is replaced, and the output says so.

    Raises:
      ImportError: a Parquet file, and pyarrow is not installed.
      TypeError, ValueError: there is no model, it predicts nothing from sequences, or the file is
        not as expected.
      OSError: `out` cannot be written. This is found before the work.
    """
    found = loading.load(path)
    task = names.to_table(found.task)["name"]
    if task == "language":
        raise ValueError(
            f"{path} holds a language model, which writes text; use `jlstm sample {path}`"
        )
    predictions.require_ending(out)
    writing.require_apart(file, out, "the predictions from it")
    writing.try_by(out)
    replaces = out.is_file()
    given = new.read(file, found.data, found.meaning)
    with validation.plain_errors(file):
        made = predicting.predicted(found, given.xs, given.lengths)
    predictions.write(out, _columns(task, found, given, made))
    say(f"{out}: {_WORDS[task]} of {len(given.names):,} {_unit(task, len(given.names))}")
    if replaces:
        say("The file existed and was replaced.")


_WORDS = {
    "classify": "the classes",
    "ctc": "the classes in their order",
    "forecast": "forecasts",
    "label": "the classes of each step",
    "regress": "the values",
}


def _unit(task: str, count: int) -> str:
    return "series" if task == "forecast" else "sequence" if count == 1 else "sequences"


def _columns(task: str, found: Trained, given: new.New, made: np.ndarray) -> Any:
    """The columns of the file of predictions."""
    meaning = found.meaning
    if task == "regress":
        return predictions.values(given, meaning, made)
    if isinstance(found.task, Forecast):
        return predictions.forecasts(given, meaning, made, found.task.quantiles)
    if task == "ctc":
        return _of_ctc(predicting.with_classes(meaning, made.shape[-1] - 1).classes, given, made)
    meaning = predicting.with_classes(meaning, made.shape[-1])
    write = predictions.classes if task == "classify" else predictions.labels
    return write(given, meaning, predicting.probabilities(made))


def _of_ctc(classes: tuple[str, ...], given: new.New, scores: np.ndarray) -> Any:
    """A row for each sequence: the classes of its best path, with spaces between them."""
    steps = scores.shape[1]
    lengths = np.full(len(scores), steps) if given.lengths is None else given.lengths
    valid = jnp.arange(steps) < jnp.asarray(lengths)[:, None]
    best = np.asarray(ctc.collapsed(jnp.asarray(scores), valid))
    texts = [" ".join(classes[n - 1] for n in row if n) for row in best]
    return [(given.column, given.names), ("classes", texts)]
