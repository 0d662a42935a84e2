"""Layers of Keras, as it writes them down, and what they are here."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jlstm.config import Layer
from jlstm.interop import keras_files, keras_names
from jlstm.interop.keras_names import MERGES
from jlstm.interop.report import Report
from jlstm.interop.sides import Side, split

SILENT = ("InputLayer", "Dropout")  # neither changes what comes out without a random key

_SILENT = ("InputLayer", "Dropout")  # neither changes what comes out without a random key


def read(part: keras_files.Part, report: Report, last: bool) -> list[tuple[Layer, Any, bool]]:
    """(layer, its sides, whether it goes backwards) for each layer in a part of a Keras network."""
    if part.kind in SILENT:
        return []
    options, weights = part.options, list(part.weights)
    policy = options.get("dtype")
    policy = policy["config"]["name"] if isinstance(policy, Mapping) else str(policy)
    if policy.startswith("mixed_"):
        report.add(f"{part.name} computes in {policy}, the network in its weights' format")
    if part.kind == "Bidirectional":
        return [_both(part, report, last)]
    if part.kind == "RNN":
        inner = options["cell"]
        cells = inner["config"]["cells"] if inner["class_name"] == "StackedRNNCells" else [inner]
        for cell in cells:
            if cell["class_name"] != "LSTMCell":
                raise ValueError(f"{part.name} has a {cell['class_name']}; expected LSTMCell")
        all_options = [cell["config"] for cell in cells]
    elif part.kind == "StackedRNNCells":
        all_options = [cell["config"] for cell in options["cells"]]
    else:
        all_options = [options]
    if not last and not options.get("return_sequences", part.kind == "LSTMCell"):
        raise ValueError(f"{part.name} returns its last output alone, which no LSTM can read")
    if last and options.get("return_sequences") is False:
        report.add("Keras returned the last output alone: take ys[-1], or ys[:, -1]")
    made = []
    for cell in all_options:
        taken = 3 if cell.get("use_bias", True) else 2
        layer = _layer(cell, part.name, report)
        made.append((layer, [_side(weights[:taken], part.name)], False))
        del weights[:taken]
    if options.get("go_backwards"):
        made[0] = (*made[0][:2], True)
    return made


def _both(part: keras_files.Part, report: Report, last: bool) -> tuple[Layer, Any, bool]:
    options, half = part.options, len(part.weights) // 2
    backward = options.get("backward_layer") or options["layer"]
    sides, layers = [], []
    for inner, weights in (
        (options["layer"], part.weights[:half]),
        (backward, part.weights[half:]),
    ):
        own = keras_files.Part(inner, weights)
        found = read(own, report, last) if own.kind in ("LSTM", "RNN") else []
        if len(found) != 1:
            what = f"{len(found)} cells" if found else f"a {own.kind}"
            raise ValueError(f"{part.name} wraps {what}; expected one LSTM, or an RNN of one")
        ((layer, (side,), backwards),) = found
        if backwards and own.options is options["layer"]["config"]:
            raise ValueError(f"{part.name} has a forward layer with go_backwards=True")
        sides.append(side)
        layers.append(layer)
    if layers[0] != layers[1]:
        raise ValueError(f"{part.name} has two directions whose options differ")
    merge = options.get("merge_mode", "concat")
    if merge not in MERGES:
        raise ValueError(f"{part.name} has merge_mode {merge!r}, which is not known")
    both = dataclasses.replace(layers[0], bidirectional=True, merge=MERGES[merge])
    return both, sides, False


def _layer(options: Mapping[str, Any], name: str, report: Report) -> Layer:
    for option in ("kernel", "recurrent", "bias"):
        if options.get(f"{option}_constraint") or options.get(f"{option}_regularizer"):
            report.add(f"{name}: constraints and regularizers act in training alone: left out")
    names = [options.get("activation", "tanh"), options.get("recurrent_activation", "sigmoid")]
    for given in names:
        if not isinstance(given, str):
            raise ValueError(f"{name} has an activation of its own, {given}; expected a name")
    own, recurrent = (keras_names.ours(given) for given in names)
    bias = options.get("use_bias", True)
    return Layer(
        options["units"],
        bias=bias,
        forget_bias=float(bias and options.get("unit_forget_bias", True)),
        activation=own,
        cell_activation=own,
        recurrent_activation=recurrent,
        dropout=options.get("dropout", 0.0),
        recurrent_dropout=options.get("recurrent_dropout", 0.0),
        held_masks=bool(options.get("dropout") or options.get("recurrent_dropout")),
    )


def _side(weights: Sequence[np.ndarray], name: str) -> Side:
    if len(weights) < 2 or any(a.ndim != 2 for a in weights[:2]):
        shapes = [list(a.shape) for a in weights]
        raise ValueError(f"{name} has weights {shapes}; expected [I, 4H], [H, 4H] and [4H]")
    w_x, w_h, *rest = (split(array) for array in weights)
    return Side(w_x, w_h, rest[0] if rest else None)
