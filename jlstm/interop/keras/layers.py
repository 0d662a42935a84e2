"""Converts serialised Keras layers to our layers."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jlstm import validation
from jlstm.config import Layer
from jlstm.interop.keras import names as keras_names
from jlstm.interop.keras.names import MERGES
from jlstm.interop.keras.parts import SILENT, Part
from jlstm.interop.report import Report
from jlstm.interop.sides import Side, split


def read(part: Part, report: Report, last: bool) -> list[tuple[Layer, Any, bool]]:
    """(layer, its sides, go_backwards) for each layer in a part of a Keras network."""
    if part.kind in SILENT:
        return []
    part.require_lstm()
    options, weights = part.options, list(part.weights)
    policy = options.get("dtype")
    while isinstance(policy, Mapping):
        policy = policy.get("config", policy.get("name"))
    if str(policy).startswith("mixed_"):
        report.add(
            f"{part.name} computes in {policy}; the network computes in the dtype of its weights"
        )
    if part.kind == "Bidirectional":
        return [_both(part, report, last)]
    cells = _cells(part)
    if not last and not options.get("return_sequences", part.kind == "LSTMCell"):
        raise ValueError(
            f"{part.name} returns only its last output, but the layer above needs a sequence; "
            "choose one of them by layer="
        )
    if last and options.get("return_sequences") is False:
        report.add(
            "Keras returned only the last output: use carry[-1].h, and merge its two directions if "
            "the layer is bidirectional"
        )
    if options.get("stateful"):
        report.add(f"{part.name} is stateful: pass the carry of one call to the next call of apply")
    made = []
    for cell in cells:
        layer = _layer(cell.options, part.name, report)
        taken = 3 if layer.bias else 2
        made.append((layer, [_side(weights[:taken], part.name, taken)], False))
        del weights[:taken]
    if weights:
        shapes = [list(a.shape) for a in weights]
        raise ValueError(f"{part.name} has weights {shapes} that do not belong to its options")
    if options.get("go_backwards"):
        made[0] = (*made[0][:2], True)
    return made


def _cells(part: Part) -> list[Part]:
    """The cells of a layer, lowest first, with their options but without weights."""
    if part.kind == "RNN":
        part = Part(part.options.get("cell"), [])
        part.require_lstm()
    cells = [part]
    if part.kind == "StackedRNNCells":
        inner = part.options.get("cells")
        cells = [Part(cell, []) for cell in inner] if isinstance(inner, list) else []
    if not cells:
        raise ValueError(f"{part.name} has no cells")
    for cell in cells:
        cell.require_lstm()
        if cell.kind not in ("LSTM", "LSTMCell"):
            raise ValueError(f"{part.name} has a {cell.kind}; expected LSTMCell")
    return cells


def _both(part: Part, report: Report, last: bool) -> tuple[Layer, Any, bool]:
    options, half = part.options, len(part.weights) // 2
    forward = options.get("layer")
    backward = options.get("backward_layer") or forward
    sides, layers = [], []
    for inner, weights in ((forward, part.weights[:half]), (backward, part.weights[half:])):
        own = Part(inner, weights)
        found = read(own, report, last) if own.kind in ("LSTM", "RNN") else []
        if len(found) != 1:
            what = f"{len(found)} cells" if found else f"a {own.kind}"
            raise ValueError(f"{part.name} wraps {what}; expected one LSTM, or an RNN of one")
        ((layer, (side,), backwards),) = found
        if backwards and not sides:
            raise ValueError(
                f"{part.name} has a forward layer with go_backwards=True; expected that only in "
                "the backward layer"
            )
        sides.append(side)
        layers.append(layer)
    if layers[0] != layers[1]:
        raise ValueError(
            f"{part.name} has directions with different options; expected the same for both"
        )
    merge = options.get("merge_mode", "concat")
    if merge not in list(MERGES):
        raise ValueError(f"{part.name} has merge_mode {merge!r}, which is not known")
    both = dataclasses.replace(layers[0], bidirectional=True, merge=MERGES[merge])
    return both, sides, False


def _layer(options: Mapping[str, Any], name: str, report: Report) -> Layer:
    for option in ("kernel", "recurrent", "bias"):
        if options.get(f"{option}_constraint") or options.get(f"{option}_regularizer"):
            report.add(
                f"{name}: constraints and regularizers were left out: they act only in training"
            )
    names = [options.get("activation", "tanh"), options.get("recurrent_activation", "sigmoid")]
    for given in names:
        if not isinstance(given, str):
            raise ValueError(f"{name} has a custom activation, {given}; expected the name of one")
    own, recurrent = (keras_names.ours(given) for given in names)
    bias, forget = (
        validation.boolean(f"{name}'s {option}", options.get(option, True))
        for option in ("use_bias", "unit_forget_bias")
    )
    return Layer(
        validation.positive_int(f"{name}'s units", options.get("units")),
        bias=bias,
        forget_bias=float(bias and forget),
        activation=own,
        cell_activation=own,
        recurrent_activation=recurrent,
        dropout=options.get("dropout", 0.0),
        recurrent_dropout=options.get("recurrent_dropout", 0.0),
        held_masks=bool(options.get("dropout") or options.get("recurrent_dropout")),
    )


def _side(weights: Sequence[np.ndarray], name: str, count: int) -> Side:
    if [a.ndim for a in weights] != [2, 2, 1][:count]:
        shapes, wanted = [list(a.shape) for a in weights], ["[I, 4H]", "[H, 4H]", "[4H]"][:count]
        raise ValueError(f"{name} has weights {shapes}; expected {', '.join(wanted)}")
    w_x, w_h, *rest = (split(array) for array in weights)
    return Side(w_x, w_h, rest[0] if rest else None)
