"""Options and weights of LSTM nodes to one layer, and back."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.config import Layer
from jlstm.interop.onnx import names as onnx_names
from jlstm.interop.onnx import quantized
from jlstm.interop.onnx.joining import Joined
from jlstm.interop.onnx.level import Level
from jlstm.interop.onnx.node import Lstm
from jlstm.interop.sides import Side, bias_of, join, sides_of, split
from jlstm.params import LayerParams

ORDER = "iofg"  # of the gates in W, R and B
_ACTIVATIONS = ("Sigmoid", "Tanh", "Tanh")


def layer_of(level: Level, gives: Joined, skip: bool) -> Layer:
    """The layer of a level, whose output is joined as `gives`, and which reads the input if `skip`.

    Raises:
      ValueError: a node has options that Layer does not support, or two nodes differ in them.
    """
    around: dict[str, Any] = {"merge": gives.merge} if gives.merge else {}
    around |= {"residual": True} if gives.residual else {}
    around |= {"skip": True} if skip else {}
    layers = [_layer(lstm, {}) for lstm in level.lstms]
    if len(layers) == 1:
        return _layer(level.lstms[0], around)
    plain = [dataclasses.replace(layer, reverse=False, bias=True) for layer in layers]
    if plain[0] != plain[1]:
        raise ValueError(
            f"{level.title} are the two directions of one layer, but differ: {plain[0]} and "
            f"{plain[1]}; expected the same options"
        )
    bias = any(layer.bias for layer in layers)
    own = {"bidirectional": True, "bias": bias, "forget_bias": float(not bias)}
    return dataclasses.replace(plain[0], **own, **around)


def sides_from(level: Level) -> list[Side]:
    """The weights of a level, one side per direction.

    Raises:
      ValueError: shapes or dtypes do not fit each other.
    """
    sides = [side for lstm in level.lstms for side in _sides(lstm)]
    if any(side.b for side in sides):
        sides = [side._replace(b=bias_of(side)) for side in sides]
    return sides


def _layer(lstm: Lstm, around: dict[str, Any]) -> Layer:
    """The layer of a node. `around` holds the options that the nodes around it imply."""
    named = _activations(lstm)
    if lstm.both and named[:3] != named[3:]:
        raise ValueError(
            f"{lstm.title} has different activations per direction: {named}; expected the same"
        )
    clip = lstm.attribute("clip", np.inf)
    if not clip > 0:
        raise ValueError(f"{lstm.title}: clip is {clip}; expected a bound above 0")
    units, bias, peepholes = lstm.units, lstm.array("B"), lstm.array("P")
    try:
        return Layer(
            units,
            bidirectional=lstm.both,
            reverse=lstm.direction == "reverse",
            bias=bias is not None,
            forget_bias=1.0 if bias is None else 0.0,
            peepholes=peepholes is not None,
            coupled_gates="forget" if lstm.attribute("input_forget", 0) else None,
            recurrent_activation=named[0],
            activation=named[1],
            cell_activation=named[2],
            gate_clip=None if np.isinf(clip) else clip,
            **around,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{lstm.title}: {error}") from None


def _sides(lstm: Lstm) -> list[Side]:
    """The weights of a node, one side per direction."""
    w, r, b, p = lstm.required("W"), lstm.required("R"), lstm.array("B"), lstm.array("P")
    lead, units = 2 if lstm.both else 1, lstm.units
    shapes = {
        "W": (w, (lead, 4 * units, w.shape[-1])),
        "R": (r, (lead, 4 * units, units)),
        "B": (b, (lead, 8 * units)),
        "P": (p, (lead, 3 * units)),
    }
    for name, (array, expected) in shapes.items():
        if array is not None and array.shape != expected:
            raise ValueError(
                f"{lstm.title}: {name} is {list(array.shape)}; expected {list(expected)}"
            )
        if array is not None and array.dtype != w.dtype:
            raise ValueError(f"{lstm.title}: {name} is {array.dtype}; expected {w.dtype}, as W is")
    sides = []
    for d in range(lead):
        bias = None if b is None else b[d, : 4 * units] + b[d, 4 * units :]
        peepholes = None if p is None else [p[d, n * units : (n + 1) * units] for n in (0, 2, 1)]
        sides.append(
            Side(
                split(w[d].T, ORDER),
                split(r[d].T, ORDER),
                None if bias is None else split(bias, ORDER),
                peepholes,  # reordered from i, o, f to i, f, o
            )
        )
    return sides


def arrays_of(layer: Layer, params: LayerParams) -> dict[str, np.ndarray]:
    """W [D, 4H, I], R [D, 4H, H] and, if the layer has them, B [D, 8H] and P [D, 3H].

    For int8 matrices, W and R are those of DynamicQuantizeLSTM, with their scales and zero points.
    """
    if made := quantized.arrays_of(params):
        w_x: Any = params.w_x
        w_h: Any = params.w_h
        params = params._replace(w_x=w_x.values, w_h=w_h.values)
    sides = sides_of(layer, params)
    made = made or {
        "W": np.stack([join(side.w_x, ORDER).T for side in sides]),
        "R": np.stack([join(side.w_h, ORDER).T for side in sides]),
    }
    if layer.bias:
        biases = [join(side.b, ORDER) for side in sides if side.b is not None]
        made["B"] = np.stack([np.concatenate([b, np.zeros_like(b)]) for b in biases])
    if layer.peepholes:
        rows = [side.peepholes for side in sides if side.peepholes is not None]
        made["P"] = np.stack([np.concatenate([i, o, f]) for i, f, o in rows])
    return made


def states_of(layer: Layer, params: LayerParams) -> dict[str, np.ndarray]:
    """The learned initial carry as h and c, [D, 1, H] each; empty if the layer has none."""
    if params.initial_carry is None:
        return {}
    rows = {name: np.asarray(getattr(params.initial_carry, name)) for name in "hc"}
    lead = 2 if layer.bidirectional else 1
    return {name: row.reshape(lead, 1, layer.hidden_size) for name, row in rows.items()}


def attributes_of(layer: Layer) -> dict[str, Any]:
    """The attributes of a layer's node.

    Raises:
      ValueError: ONNX's LSTM does not support an option.
    """
    direction = "bidirectional" if layer.bidirectional else ["forward", "reverse"][layer.reverse]
    made: dict[str, Any] = {"hidden_size": layer.hidden_size, "direction": direction}
    names = [layer.recurrent_activation, layer.activation, layer.cell_activation]
    if names != ["sigmoid", "tanh", "tanh"]:
        made |= onnx_names.to_onnx(names * (2 if layer.bidirectional else 1))
    if layer.gate_clip is not None:
        made["clip"] = layer.gate_clip
    if layer.coupled_gates == "input":
        raise ValueError(
            "ONNX's input_forget computes f = 1 - i, but this layer computes i = 1 - f"
        )
    if layer.coupled_gates:
        made["input_forget"] = 1
    return made


def _activations(lstm: Lstm) -> Sequence[str]:
    """Our names for the activations, three per direction."""
    count = 6 if lstm.both else 3
    names = lstm.attribute("activations", [*_ACTIVATIONS] * (count // 3))
    if len(names) != count:
        raise ValueError(
            f"{lstm.title} names {len(names)} activations, {[name[:20] for name in names[:9]]}; "
            f"expected {count}: one each for gates, candidate and output, per direction"
        )
    alphas, betas = (lstm.attribute(f"activation_{name}", []) for name in ("alpha", "beta"))
    return onnx_names.from_onnx(names, alphas, betas)
