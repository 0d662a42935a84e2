"""Trains torch.nn.LSTM as `jlstm train` trains a config, and prints the metrics of the test part.

    python benchmarks/papers/with_torch.py configs/papers/japanese_vowels.toml --seed 0

The sizes, the data, the batches and their order, Adam, its schedule and the clipping of gradients
are those of the config. The initial parameters are torch's own, from the same distribution as those
of `initializer = "torch"` with `forget_bias = 0`; the embedding and the readout have torch's
distributions. It is for the tasks classify, with the readout "last", and language.
"""

import argparse
import json
import math
import pathlib
import resource
import time
from typing import Any

import numpy as np
import torch

from jlstm import Layer
from jlstm.train import settings as run_settings
from jlstm.train.data import batches, sources
from jlstm.train.data.split import Stream
from jlstm.train.optimizer import Optimizer
from jlstm.train.settings import Settings

Curve = list[list[float]]


class Model(torch.nn.Module):
    """An embedding if the data are tokens, torch.nn.LSTM, and a linear readout."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        config, task = settings.network, settings.task
        hidden = config.layers[0].hidden_size
        words = getattr(task, "vocabulary", None)
        self.embedding = None if words is None else torch.nn.Embedding(words, config.input_size)
        self.lstm = torch.nn.LSTM(config.input_size, hidden, len(config.layers), batch_first=True)
        self.head = torch.nn.Linear(hidden, getattr(task, "classes", words))

    def forward(self, xs: Any, lengths: Any = None, carry: Any = None, last: bool = False) -> Any:
        """The scores of each step, or of the last step of each sequence, and the carry."""
        xs = xs if self.embedding is None else self.embedding(xs)
        ys, carry = self.lstm(xs, carry)
        if last:  # what is behind a sequence's end does not change the output there
            at = torch.full((len(ys),), ys.shape[1]) if lengths is None else lengths
            ys = ys[torch.arange(len(ys)), at - 1]
        return self.head(ys), carry


def _tensor(array: Any) -> Any:
    if array is None:
        return None
    tensor = torch.from_numpy(np.array(array))
    return tensor if tensor.is_floating_point() else tensor.long()


def _loss(model: Model, batch: Any, carry: Any, stream: bool) -> tuple[Any, Any, Any]:
    """The cross-entropy of each answer, whether it is right, and the carry."""
    scores, carry = model(_tensor(batch.xs), _tensor(batch.lengths), carry, last=not stream)
    targets = _tensor(batch.targets)
    loss = torch.nn.functional.cross_entropy(
        scores.flatten(0, -2), targets.flatten(), reduction="none"
    )
    return loss.view(targets.shape), scores.argmax(-1) == targets, carry


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def require_comparable(settings: Settings) -> None:
    """Raises ValueError if this script does not train what the config describes."""
    config, task, chosen = settings.network, settings.task, settings.optimizer
    plain = {Layer(layer.hidden_size, forget_bias=0.0) for layer in config.layers}
    if set(config.layers) != plain or len(plain) != 1 or config.initializer != "torch":
        raise ValueError(
            "expected layers of one size without options but forget_bias = 0, and initializer = "
            '"torch"'
        )
    if getattr(task, "readout", "last") != "last" or getattr(task, "tied", False):
        raise ValueError('expected the readout "last", and an embedding that is not tied')
    kept = Optimizer(
        learning_rate=chosen.learning_rate, schedule=chosen.schedule, clip_norm=chosen.clip_norm
    )
    if chosen != kept or chosen.schedule not in (None, "cosine_decay_schedule"):
        raise ValueError("expected adam, with cosine_decay_schedule or no schedule")


def train(settings: Settings, data: Any, seed: int, report: int) -> tuple[Model, Curve]:
    """The trained model, and the curve of its training.

    A point of the curve has the number of steps, the mean loss of the last `report` steps, and the
    processor time of this program so far in seconds. Without `report` there are no points.
    """
    own, chosen = settings.train, settings.optimizer
    torch.manual_seed(seed)
    model, stream = Model(settings), isinstance(data.train, Stream)
    optimizer = torch.optim.Adam(model.parameters(), lr=chosen.learning_rate)
    source = batches.training(data.train, own.batch_size, seed=seed, unroll=own.unroll)
    carry, losses, curve = None, [], []
    for step in range(own.steps):
        if chosen.schedule is not None:
            if chosen.schedule != "cosine_decay_schedule":
                raise ValueError(
                    f"the schedule is {chosen.schedule}; expected cosine_decay_schedule"
                )
            rate = chosen.learning_rate * 0.5 * (1 + math.cos(math.pi * step / own.steps))
            optimizer.param_groups[0]["lr"] = rate
        batch = next(source)
        if batch.starts is not None and batch.starts.any():
            carry = None
        loss, _, carry = _loss(model, batch, carry, stream)
        carry = tuple(part.detach() for part in carry) if stream else None
        optimizer.zero_grad()
        loss.mean().backward()
        if chosen.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), chosen.clip_norm)
        optimizer.step()
        losses.append(loss.mean().item())
        if report and (step + 1) % report == 0:
            point = [step + 1, float(np.mean(losses[-report:])), round(_processor_seconds(), 1)]
            curve.append(point)
            print("step {}: loss {:.4f}, {:.0f} s of processor time".format(*point), flush=True)
    return model, curve


@torch.no_grad()
def measured(model: Model, split: Any, settings: Settings) -> dict[str, float]:
    """The metrics over a split."""
    own, stream = settings.train, isinstance(split, Stream)
    total, right, count, carry = 0.0, 0.0, 0.0, None
    for batch in batches.evaluation(split, own.batch_size, unroll=own.unroll):
        loss, hits, carry = _loss(model, batch, carry, stream)
        if stream:
            weights = torch.arange(loss.shape[1]) < _tensor(batch.lengths)[:, None]
        else:
            carry, weights = None, _tensor(batch.weights) > 0
        total, right = total + loss[weights].sum().item(), right + hits[weights].sum().item()
        count += weights.sum().item()
    found = {"accuracy": right / count, "loss": total / count}
    return found | {"bits": found["loss"] / math.log(2)} if stream else found


def main() -> None:
    """Runs what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=int, default=0, help="steps between reports of the loss")
    parser.add_argument("--set", nargs="+", default=[], help="values, TABLE.KEY=VALUE")
    options = parser.parse_args()
    tables = run_settings.read(options.config, options.set)
    data = sources.load(tables["data"])
    settings = run_settings.resolved(tables, data)
    require_comparable(settings)
    begun = time.monotonic()
    model, curve = train(settings, data, options.seed, options.report)
    seconds = time.monotonic() - begun
    record = {"config": options.config.stem, "with": "torch", "seed": options.seed}
    record |= {"steps": settings.train.steps, "metrics": measured(model, data.test, settings)}
    record |= {"curve": curve} if curve else {}
    processor = round(_processor_seconds(), 1)
    print(json.dumps(record | {"seconds": round(seconds, 1), "processor": processor}))


if __name__ == "__main__":
    main()
