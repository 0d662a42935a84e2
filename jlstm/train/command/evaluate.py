"""The command `jlstm eval`."""

import pathlib
from typing import Any

import jax

from jlstm import validation
from jlstm.params import initial_carry
from jlstm.terminal import say, say_json
from jlstm.train import loop, predicting, step
from jlstm.train.command import loading
from jlstm.train.data import sources
from jlstm.train.data.split import Stream
from jlstm.train.runs import metrics as run_metrics
from jlstm.train.runs import progress
from jlstm.train.tasks import fitting, names
from jlstm.train.tasks.forecast import Forecast

BATCH = 64  # sequences that are read together


def evaluate(path: pathlib.Path, *, season: int | None = None, as_json: bool = False) -> None:
    """Prints the metrics of a trained model on the test split of its data.

    For forecasts, it also prints the errors in the units of the data, beside those of repeating the
    last value, and those of repeating the last season.

    Args:
      path: the folder of a run, or its model file.
      season: for forecasts, the steps of a season.
      as_json: print one line of JSON.

    Raises:
      TypeError, ValueError: there is no model, its data have no test split, or the season does not
        fit them.
      ImportError: the data need a package that is missing.
    """
    found = loading.load(path)
    if season is not None:
        if not isinstance(found.task, Forecast):
            raise ValueError(
                f"--season is for forecasts, but the task of {path} is "
                f"{names.to_table(found.task)['name']!r}; leave it out"
            )
        validation.positive_int("--season", season)
    with validation.plain_errors(loading.file(path)):
        data = sources.load(found.data)
        if data.test is None:
            raise ValueError("its data have no test split; give them one in the table [data]")
        if data.meaning != found.meaning:
            raise ValueError(
                "its data changed since it was trained; restore the file that [data] names, or "
                "train anew"
            )
        fitting.require_fitting(found.task, data)
    eval_step = jax.jit(step.make_eval_step(found.config, found.task))
    carry, errors, rows = None, {}, BATCH
    if isinstance(data.test, Stream):
        rows = min(found.rows or BATCH, max(len(data.test.tokens) - 1, 1))
        carry = initial_carry(found.config, found.model.network, (rows,))
    elif isinstance(found.task, Forecast):
        errors = predicting.forecast_errors(found, data.test, season=season)
    metrics: dict[str, Any] = loop.evaluated(
        eval_step, found.model, data.test, rows, carry=carry, unroll=found.unroll
    )
    if as_json:
        raw = {
            name: {whose: run_metrics.plain(values) for whose, values in both.items()}
            for name, both in errors.items()
        }
        say_json(run_metrics.plain(metrics) | ({"raw": raw} if errors else {}))
        return
    say(f"test: {progress.words(metrics)}")
    for name, of_name in errors.items():
        for whose, values in of_name.items():
            words = {
                "model": "the model",
                "persistence": "the last value repeated",
                "seasonal": f"the last {season} values repeated",
            }[whose]
            said = ", ".join(f"{error} {value:.6g}" for error, value in values.items())
            say(f"{name}, in its own units, {words}: {said}")
