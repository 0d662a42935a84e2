"""The best model of a run: after a kill and --resume it is one that the run has made."""

import numpy as np
import pytest

from jlstm.train import ending, settings
from jlstm.train import run as runs
from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.runs import metrics


def drawn(seed, count):
    xs = np.random.default_rng(seed).normal(size=(count, 3, 2)).astype("float32")
    return Split(xs, (xs[:, -1, 0] > 0).astype("int32"))


DATA = Data(drawn(0, 64), drawn(0, 64), drawn(1, 16), Meaning(classes=("low", "high")))


def resolved(folder, learning_rate):
    tables = {
        "data": {"source": "drawn"},
        "task": {"name": "classify"},
        "network": {"layers": [{"hidden_size": 4}]},
        "optimizer": {"name": "sgd", "learning_rate": learning_rate},
        "train": {
            "out": str(folder),
            "steps": 6,
            "batch_size": 64,
            "evaluate_every": 2,
            "save_every": 3,
            "steps_per_call": 1,
        },
        "mesh": {"data": 1},
    }
    return settings.resolved(tables, DATA)


class _Killed(BaseException):
    """Stands for a process that is killed."""


def valid(folder):
    """The losses on the validation part by step."""
    return {
        each.step: each.metrics["loss"] for each in metrics.read(folder) if each.split == "valid"
    }


@pytest.mark.full
def test_a_best_model_after_the_newest_checkpoint_does_not_survive_a_kill(tmp_path, monkeypatch):
    """The checkpoint of step 3 has step 2 as its best. Step 4 was better, and never is again."""

    def stopped(settings, done, best, stop):
        if done == 4:
            raise _Killed
        return ""

    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(ending, "why_stopped", stopped)
        runs.run(resolved(tmp_path, learning_rate=0.1), DATA, silent=True)
    before = valid(tmp_path)
    assert before[4] < before[2]
    worse = resolved(tmp_path, learning_rate=50.0)  # every later step is worse than step 2
    outcome = runs.run(worse, DATA, resume=True, silent=True)
    assert min(valid(tmp_path).items(), key=lambda pair: pair[1]) == (2, before[2])
    assert outcome.best_step == 2
    assert outcome.metrics["valid"]["loss"] == pytest.approx(before[2], abs=1e-6)
