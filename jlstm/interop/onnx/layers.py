"""Options and weights of one LSTM node to one layer, and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.config import Layer
from jlstm.interop.onnx import names as onnx_names
from jlstm.interop.onnx.node import Lstm
from jlstm.interop.sides import Side, join, sides_of, split
from jlstm.params import LayerParams

ORDER = "iofg"  # of the gates in W, R and B
_ACTIVATIONS = ("Sigmoid", "Tanh", "Tanh")


def layer_of(lstm: Lstm, around: dict[str, Any]) -> Layer:
    """The layer of a node. `around` holds the options that the nodes around it imply.

    Raises:
      ValueError: the node has options that Layer does not support.
    """
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


def sides_from(lstm: Lstm) -> list[Side]:
    """The weights of a node, one side per direction.

    Raises:
      ValueError: shapes or dtypes do not fit each other.
    """
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
    """W [D, 4H, I], R [D, 4H, H] and, if the layer has them, B [D, 8H] and P [D, 3H]."""
    sides = sides_of(layer, params)
    made = {
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
