"""The command `jlstm eval`."""

import json
import pathlib

import jax

from jlstm import validation
from jlstm.params import initial_carry
from jlstm.terminal import say
from jlstm.train import loop, step, trained
from jlstm.train.data import sources
from jlstm.train.data.split import Stream
from jlstm.train.runs import model_file, progress

BATCH = 64  # sequences that are read together


def evaluate(path: pathlib.Path, *, as_json: bool = False) -> None:
    """Prints the metrics of a trained model on the test split of its data.

    Args:
      path: the folder of a run, or its model file.
      as_json: print one line of JSON.

    Raises:
      TypeError, ValueError: there is no model, or its data have no test split.
      ImportError: the data need a package that is missing.
    """
    file = path / model_file.NAME if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise ValueError(f"{path} has no {model_file.NAME}; pass the folder of a run that ended")
    found = trained.load(file)
    with validation.plain_errors(file):
        data = sources.load(found.data)
        if data.test is None:
            raise ValueError("its data have no test split; give them one in the table [data]")
    eval_step = jax.jit(step.make_eval_step(found.config, found.task))
    carry = None
    if isinstance(data.test, Stream):
        carry = initial_carry(found.config, found.model.network, (BATCH,))
    metrics = loop.evaluated(
        eval_step, found.model, data.test, BATCH, carry=carry, unroll=found.unroll
    )
    if as_json:
        print(json.dumps(metrics))
    else:
        say(f"test: {progress.words(metrics)}")
