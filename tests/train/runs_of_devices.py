"""Small runs for the tests of several devices, and what they measured."""

import numpy as np

from jlstm.train import run, settings
from jlstm.train.data.split import Data, Split, Stream
from jlstm.train.runs import metrics

STEPS = 6


def sequences(count, rng):
    lengths = rng.integers(1, 6, count).astype("int32")
    xs = (
        rng.normal(size=(count, 5, 3)).astype("float32")
        * (np.arange(5) < lengths[:, None])[..., None]
    )
    return Split(xs, rng.integers(0, 4, count).astype("int32"), lengths)


def classes():
    """Sequences of different lengths."""
    rng = np.random.default_rng(0)
    return Data(sequences(37, rng), sequences(11, rng), sequences(9, rng))


def text():
    rng = np.random.default_rng(1)
    train, valid = (Stream(rng.integers(0, 8, n).astype("int32")) for n in (150, 75))
    return Data(train, valid, None)


CASES = {
    "lengths, dropout, an average": (
        classes,
        {
            "task": {"name": "classify", "readout": "mean"},
            "network": {"layers": [{"hidden_size": 8, "bidirectional": True, "dropout": 0.3}]},
            "optimizer": {"name": "adamw", "learning_rate": 0.01, "average": 0.9, "clip_norm": 0.5},
        },
    ),
    "a text whose carry is kept": (
        text,
        {
            "task": {"name": "language", "vocabulary": 8},
            "network": {"layers": [{"hidden_size": 8, "recurrent_dropout": 0.2}]},
            "optimizer": {"name": "sgd", "learning_rate": 0.5, "accumulate": 2},
        },
    ),
}


def ran(case, out, *, steps=STEPS, mesh=None, resume=False):
    """The losses of every step and of every evaluation of a run in the folder `out`."""
    make, tables = CASES[case]
    data = make()
    own = {"out": str(out), "steps": steps, "batch_size": 8, "steps_per_call": 1}
    own |= {"evaluate_every": 3} | ({"unroll": 4} if case.startswith("a text") else {})
    whole = {"data": {}} | tables | {"train": own, "mesh": mesh or {}}
    made = settings.resolved(whole, data)
    run.run(made, data, resume=resume, silent=True)
    return losses(out)


def losses(out):
    """By split: the losses that a run wrote down."""
    reports = metrics.read(out)
    return {
        split: [each.metrics["loss"] for each in reports if each.split == split]
        for split in ("train", "valid", "test")
    }
