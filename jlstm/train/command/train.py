"""The command `jlstm train`."""

import pathlib
import sys
from collections.abc import Sequence

from jlstm import validation
from jlstm.terminal import say, say_json
from jlstm.train import run as runs
from jlstm.train import settings as run_settings
from jlstm.train.data import sources
from jlstm.train.runs import metrics as run_metrics
from jlstm.train.runs import processes, progress


def train(
    path: pathlib.Path,
    *,
    out: pathlib.Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    changes: Sequence[str] = (),
    as_json: bool = False,
) -> int:
    """Trains the model that the TOML file at `path` describes, in a folder, and prints how it does.

    Args:
      path: the TOML file.
      out: the folder of the run. None means `out` of the table [train].
      resume: go on with the run that the folder holds.
      overwrite: remove the run that the folder holds.
      changes: values to replace in the TOML file, such as "train.steps=500".
      as_json: print one line of JSON at the end, and no progress.

    Returns:
      The exit code: 0, or the one that stands for the signal that stopped the run. Of several
      processes, only the first prints.

    Raises:
      TypeError, ValueError: the TOML file or the data are not as expected, the folder cannot be
        used, or the training failed.
      ImportError: the data or the run need a package that is missing.
      OSError: a checkpoint, the model or metrics.jsonl cannot be written.
    """
    tables = run_settings.read(path, changes)
    if out is not None:
        tables["train"]["out"] = str(out)
    with validation.plain_errors(path):
        run_settings.require_valid(tables)
        data = sources.load(tables["data"])
        settings = run_settings.resolved(tables, data)
    outcome = runs.run(
        settings, data, resume=resume, overwrite=overwrite, silent=as_json, file=path
    )
    if not processes.is_first():
        return outcome.exit_code
    for line in outcome.warnings:
        print(f"warning: {validation.fitting(line)}", file=sys.stderr)
    if as_json:
        measured = {split: run_metrics.plain(found) for split, found in outcome.metrics.items()}
        values = outcome._asdict() | {"folder": str(outcome.folder), "metrics": measured}
        say_json({name: value for name, value in values.items() if name != "exit_code"})
        return outcome.exit_code
    for split, metrics in outcome.metrics.items():
        say(f"{_WORDS[split]}: {progress.words(metrics)}")
    if outcome.stopped:
        print(outcome.stopped, file=sys.stderr)
    say(f"{outcome.folder} holds the model of step {outcome.best_step} and all of the run")
    say(f"to measure the model again: jlstm eval {outcome.folder}")
    return outcome.exit_code


_WORDS = {"valid": "validation", "test": "test"}
