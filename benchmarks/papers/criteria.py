"""What papers count beside a task's metrics, computed from the file of a trained model.

python benchmarks/papers/criteria.py runs/papers/embedded_reber
"""

import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from jlstm.train import trained
from jlstm.train.data import batches, sources
from jlstm.train.data.split import Split
from jlstm.train.data.synthetic import counting, prediction, reber
from jlstm.train.trained import Trained

Criterion = dict[str, Any]


def of(path: pathlib.Path) -> Criterion:
    """The criterion of the data that a model was trained with, on their test part. {}: no such.

    Args:
      path: the model file.
    """
    model = trained.load(path)
    source = model.data["source"]
    if source not in CRITERIA:
        return {}
    return CRITERIA[source](model, sources.load(model.data).test)


def predictions(model: Trained, split: Split, batch_size: int = 256) -> np.ndarray:
    """The predictions for all sequences of a split [N, ...]."""
    size, made = min(batch_size, len(split.xs)), []
    for batch in batches.evaluation(split, size):
        _, found = model.task.predict(model.config, model.model, batch)
        made.append(np.asarray(found))
    return np.concatenate(made)[: len(split.xs)]


def wrong_strings(model: Trained, test: Split) -> Criterion:
    """Strings with a step at which the allowed symbols are not those with the highest scores."""
    right = prediction.correct(predictions(model, test), reber.allowed(test)).all(axis=1)
    return {"wrong": int((~right).sum()), "of": len(right)}


def right_at_first(model: Trained, test: Split) -> Criterion:
    """The symbols of each stream before the first wrong prediction."""
    right = prediction.correct(predictions(model, test), reber.allowed(test))
    return {"right_at_first": prediction.right_at_first(right).tolist(), "of": right.shape[1]}


def largest_count(model: Trained, test: Split) -> Criterion:
    """The largest n for which the strings of 1 to n letters are all predicted."""
    right = prediction.correct(predictions(model, test, 64), counting.allowed(test)).all(axis=1)
    wrong = np.flatnonzero(~right)
    return {"largest": int(wrong[0]) if len(wrong) else len(right), "of": len(right)}


def far_sums(model: Trained, test: Split) -> Criterion:
    """Sequences of the adding problem of 1997 whose error is 0.04 or more."""
    error = np.abs(predictions(model, test) - test.targets)
    return {"wrong": int((error >= 0.04).sum()), "of": len(error)}


def unsure_classes(model: Trained, test: Split) -> Criterion:
    """Sequences with an output that is 0.3 or more from its target, 0 or 1, as softmax gives it."""
    scores = predictions(model, test).astype("float64")
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    given = scores / scores.sum(axis=1, keepdims=True)
    error = np.abs(given - np.eye(given.shape[1])[test.targets]).max(axis=1)
    return {"wrong": int((error >= 0.3).sum()), "of": len(error)}


CRITERIA: dict[str, Callable[[Trained, Split], Criterion]] = {
    "adding_1997": far_sums,
    "continual_reber": right_at_first,
    "counting": largest_count,
    "embedded_reber": wrong_strings,
    "temporal_order": unsure_classes,
}


if __name__ == "__main__":
    for place in map(pathlib.Path, sys.argv[1:]):
        file = place / "model.safetensors" if place.is_dir() else place
        print(json.dumps({"model": str(file)} | of(file)))
