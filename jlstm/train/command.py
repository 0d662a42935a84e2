"""The commands `jlstm train` and `jlstm eval`."""

import functools
import pathlib
from collections.abc import Callable

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from jlstm import validation
from jlstm.config import Config
from jlstm.files import config_toml, models, writing
from jlstm.network import readout
from jlstm.terminal import say
from jlstm.train import classify, data, loop, output

CLASSES = 10


def train(path: pathlib.Path, out: pathlib.Path | None, overwrite: bool = False) -> None:
    """Trains the network of the TOML file at `path`, saves it and prints its test accuracy.

    Args:
      path: the TOML file.
      out: file to save the model to. None means `out` of the table [train].
      overwrite: replace a file that exists.

    Raises:
      TypeError, ValueError: the TOML file is not as expected, the model cannot be saved, which is
        found before training, or the training failed, and no file is written.
    """
    tables = config_toml.read(path)
    with validation.plain_errors(path):
        validation.known_keys(str(path), tables, ("network", "train"))
        for name in ("network", "train"):
            if name not in tables:
                raise ValueError(f"{path} lacks the table [{name}]")
        config = config_toml.network(tables["network"])
        run = config_toml.section("[train]", loop.Run, tables["train"])
        _require_rows(config)
        if config.layers[-1].reverse:
            raise ValueError(
                "the last layer has reverse=True, so its output at the last row, which the digit "
                "is predicted from, has seen that row alone; leave out reverse, or make the layer "
                "bidirectional"
            )
    out = out or pathlib.Path(run.out)
    train_set, test_set = data.digits()
    loop.require_memory(config, run, train_set)
    writing.require_apart(path, out, "the model")
    # What cannot be saved must fail before training, not after it.
    zeros = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), _shapes(config))
    output.require_ready(out, overwrite, functools.partial(_save, models.try_save, config, zeros))
    columns = [
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  accuracy {task.fields[accuracy]:.2%}"),
    ]  # fmt: skip
    with Progress(*columns) as progress:
        bar = progress.add_task("training", total=run.steps, loss=float("nan"), accuracy=0.0)

        def report(step: int, loss: float, accuracy: float) -> None:
            progress.update(bar, completed=step, loss=loss, accuracy=accuracy)

        model = loop.train(config, run, CLASSES, train_set, report)
    place = output.write(out, overwrite, functools.partial(_save, models.save, config, model))
    _print_accuracy(config, model, test_set)
    if place != out:
        say(f"{out} was written by something else meanwhile, and stays")
    say(f"saved {place}; `jlstm eval {place}` prints this accuracy again")


def evaluate(path: pathlib.Path) -> None:
    """Prints the test accuracy of the model at `path`."""
    config, network = models.load(path)
    with validation.plain_errors(path):
        _require_rows(config)
    extra = models.load_extra(path)
    shapes = dict(zip(readout.NAMES, ((config.output_size, CLASSES), (CLASSES,)), strict=True))
    if {name: array.shape for name, array in extra.items()} != shapes:
        raise ValueError(
            f"{path} holds a network, but no readout of {CLASSES} digits; pass a file that "
            "`jlstm train` wrote"
        )
    model = classify.Model(network, *(extra[name] for name in readout.NAMES))
    _print_accuracy(config, model, data.digits()[1])


def _shapes(config: Config) -> classify.Model:
    """The shapes and dtypes of a model's arrays."""
    new = functools.partial(classify.new, config=config, classes=CLASSES)
    return jax.eval_shape(new, jax.random.key(0))


def _save(
    save: Callable[..., None], config: Config, model: classify.Model, path: pathlib.Path
) -> None:
    """Calls `models.save` or `models.try_save` with a model."""
    save(path, config, model.network, extra=dict(zip(readout.NAMES, model[1:], strict=True)))


def _require_rows(config: Config) -> None:
    if config.input_size != 8:
        raise ValueError(
            f"the network's input_size is {config.input_size}, but the digits are read in rows of "
            "8 pixels; set input_size = 8"
        )


def _print_accuracy(config: Config, model: classify.Model, test: data.Split) -> None:
    accuracy = jax.jit(functools.partial(classify.accuracy, config))(model, test.xs, test.labels)
    wrong = round((1 - float(accuracy)) * len(test.labels))
    Console().print(f"test accuracy {float(accuracy):.2%} ({wrong} of {len(test.labels)} wrong)")
