"""ONNX: models with native LSTM nodes, out of and into."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.config import Config, Layer
from jlstm.interop import needs, onnx_builder, onnx_graph, onnx_names
from jlstm.interop.report import Report
from jlstm.interop.sides import Side, join, network, require, sides_of, split
from jlstm.params import Params

if TYPE_CHECKING:
    import onnx

_ORDER = "iofg"
_OPTIONS = (
    *("bidirectional", "merge", "reverse", "bias", "peepholes", "coupled_gates", "gate_clip"),
    *("activation", "recurrent_activation", "cell_activation", "residual", "skip"),
)


def from_onnx(
    source: "onnx.ModelProto | str | os.PathLike",
    *,
    node: str | None = None,
    report: Report | None = None,
) -> tuple[Config, Params]:
    """A network with the weights of a model's LSTM nodes, chains of them as one stack.

    ONNX keeps W [D, 4H, I], R [D, 4H, H] in the order i, o, f, g, and two biases in B [D, 8H],
    which are summed; its clip bounds the pre-activations, its input_forget makes f = 1 - i.

    Args:
      source: a model, or the path of one; arrays in files beside it are read too, from its folder.
      node: the name of a node of the chain to take, where there are several chains.
      report: what was done is added to it.

    Returns:
      config and params. Initial states that are constants, the same for all sequences, become a
      learned initial carry; those that are inputs of the model are `carry` in apply, as
      sequence_lens are `lengths`. With layout=1 pass time_major=False.

    Raises:
      ValueError: not a whole model, no LSTM in it, several chains, or something between two LSTMs
        of a chain that changes numbers.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4, 5], bidirectional=True, forget_bias=0.0)
    >>> params = init(jax.random.key(0), config)
    >>> from_onnx(to_onnx(config, params))[0] == config
    True
    """
    report = Report() if report is None else report
    graph = onnx_graph.Graph(source)
    chain = graph.chain(node)
    layers, sides = [], []
    for lstm in chain:
        layers.append(_layer(lstm))
        sides.append(_sides(lstm, layers[-1]))
        if lstm.attribute("layout", 0):
            report.add("layout=1: pass time_major=False to apply")
        if lstm.given("sequence_lens"):
            report.add("sequence_lens: pass them as lengths to apply")
    if any(own[0].b is not None for own in sides):
        report.add("ONNX's two biases were summed")
    report.add("gates went from the order i, o, f, g to i, f, g, o")
    config, params = network(
        sides[0][0].w_x.i.shape[0], layers, sides, report, [lstm.name for lstm in chain]
    )
    return onnx_graph.with_states(config, params, chain, report)


def to_onnx(
    config: Config,
    params: Params,
    *,
    lengths: bool = False,
    carry: bool = False,
    time_major: bool = True,
    report: Report | None = None,
) -> "onnx.ModelProto":
    """A model with one native LSTM node a layer; batch and time are free.

    Args:
      config, params: the network.
      lengths: give the model an input "lengths" [B], int32.
      carry: give it inputs "c0", "h0", "c1", ... [D, B, H], a pair a layer, and outputs
        "c0_last", "h0_last", ...; else it starts from zeros.
      time_major: its input "xs" and output "ys" are [T, B, ..], else [B, T, ..].
      report: what was done is added to it.

    Raises:
      ValueError: an option that ONNX's LSTM lacks, or float64 or bfloat16 parameters, which ONNX
        Runtime does not run.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4])
    >>> model = to_onnx(config, init(jax.random.key(0), config))
    >>> [node.op_type for node in model.graph.node]
    ['LSTM', 'Squeeze']
    """
    onnx = needs.module("onnx")
    report = Report() if report is None else report
    require(config, params, "ONNX's LSTM", _OPTIONS, report)
    if config.param_dtype != "float32":
        raise ValueError(
            f"parameters are {config.param_dtype}; ONNX Runtime runs LSTMs in float32: convert "
            'params with jax.tree.map(lambda a: a.astype("float32"), params), and the config with '
            'dataclasses.replace(config, dtype="float32", param_dtype="float32")'
        )
    build = onnx_builder.Builder(onnx, config, lengths, carry, time_major)
    for n, (layer, own) in enumerate(zip(config.layers, params.layers, strict=True)):
        arrays = _arrays(sides_of(layer, own))
        build.layer(n, layer, arrays, _attributes(layer))
    report.add("gates went from the order i, f, g, o to i, o, f, g")
    return build.model()


def _layer(lstm: onnx_graph.Lstm) -> Layer:
    direction = lstm.attribute("direction", "forward")
    both = direction == "bidirectional"
    names = lstm.attribute("activations", ["Sigmoid", "Tanh", "Tanh"] * (1 + both))
    named = onnx_names.from_onnx(
        names, lstm.attribute("activation_alpha", []), lstm.attribute("activation_beta", [])
    )
    if both and named[:3] != named[3:]:
        raise ValueError(f"{lstm.name} has other activations backward than forward: {named}")
    clip = lstm.attribute("clip", 0.0)
    bias = lstm.array("B") is not None
    coupled = bool(lstm.attribute("input_forget", 0))
    return Layer(
        lstm.attribute("hidden_size", None) or lstm.required("R").shape[-1],
        bidirectional=both,
        reverse=direction == "reverse",
        bias=bias,
        forget_bias=0.0 if bias else 1.0,
        peepholes=lstm.array("P") is not None,
        coupled_gates="forget" if coupled else None,
        recurrent_activation=named[0],
        activation=named[1],
        cell_activation=named[2],
        gate_clip=clip if clip > 0 else None,
        **lstm.around,
    )


def _sides(lstm: onnx_graph.Lstm, layer: Layer) -> list[Side]:
    directions = 2 if layer.bidirectional else 1
    w, r, b, p = lstm.required("W"), lstm.required("R"), lstm.array("B"), lstm.array("P")
    units, shapes = layer.hidden_size, {}
    shapes["W"] = (w, (directions, 4 * units, w.shape[-1]))
    shapes["R"] = (r, (directions, 4 * units, units))
    shapes["B"] = (b, (directions, 8 * units))
    shapes["P"] = (p, (directions, 3 * units))
    for name, (array, expected) in shapes.items():
        if array is not None and array.shape != expected:
            raise ValueError(
                f"{lstm.name}: {name} is {list(array.shape)}; expected {list(expected)}"
            )
    sides = []
    for d in range(directions):
        bias = None if b is None else b[d, : 4 * units] + b[d, 4 * units :]
        peepholes = None
        if p is not None:
            i, o, f = np.split(p[d], 3)
            peepholes = [i, f, o]
        sides.append(
            Side(
                split(w[d].T, _ORDER),
                split(r[d].T, _ORDER),
                None if bias is None else split(bias, _ORDER),
                peepholes,
            )
        )
    return sides


def _arrays(sides: list[Side]) -> dict[str, np.ndarray]:
    made = {
        "W": np.stack([join(side.w_x, _ORDER).T for side in sides]),
        "R": np.stack([join(side.w_h, _ORDER).T for side in sides]),
    }
    if sides[0].b is not None:
        biases = [join(side.b, _ORDER) for side in sides if side.b is not None]
        made["B"] = np.stack([np.concatenate([b, np.zeros_like(b)]) for b in biases])
    if sides[0].peepholes is not None:
        rows = [side.peepholes for side in sides if side.peepholes is not None]
        made["P"] = np.stack([np.concatenate([i, o, f]) for i, f, o in rows])
    return made


def _attributes(layer: Layer) -> dict[str, Any]:
    direction = "bidirectional" if layer.bidirectional else ["forward", "reverse"][layer.reverse]
    made: dict[str, Any] = {"hidden_size": layer.hidden_size, "direction": direction}
    names = [layer.recurrent_activation, layer.activation, layer.cell_activation]
    if names != ["sigmoid", "tanh", "tanh"]:
        made |= onnx_names.to_onnx(names * (2 if layer.bidirectional else 1))
    if layer.gate_clip is not None:
        made["clip"] = layer.gate_clip
    if layer.coupled_gates == "input":
        raise ValueError("ONNX's input_forget makes f = 1 - i; this layer has i = 1 - f")
    if layer.coupled_gates:
        made["input_forget"] = 1
    return made
