"""Conversion from and to ONNX models with native LSTM nodes."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax

from jlstm.config import Config
from jlstm.interop import needs, sources
from jlstm.interop.onnx import builder, quantized, stacks, states
from jlstm.interop.onnx import layers as onnx_layers
from jlstm.interop.onnx.graph import Graph
from jlstm.interop.onnx.level import Level
from jlstm.interop.onnx.levels import levels_of
from jlstm.interop.onnx.node import shown
from jlstm.interop.report import Report
from jlstm.interop.sides import network, require
from jlstm.params import Params

if TYPE_CHECKING:
    import onnx

_OPTIONS = (
    *("bidirectional", "merge", "reverse", "bias", "peepholes", "coupled_gates", "gate_clip"),
    *("activation", "recurrent_activation", "cell_activation", "residual", "skip"),
    "learn_initial_carry",
    "int8",
)

# Errors that malformed models may cause beyond those that are checked.
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError)


@sources.in_words
def from_onnx(
    source: "onnx.ModelProto | str | os.PathLike",
    *,
    node: str | None = None,
    report: Report | None = None,
) -> tuple[Config, Params]:
    """Converts the LSTM nodes of an ONNX model. A chain of LSTM nodes becomes one stack.

    A forward and a reverse node that read the same value become one bidirectional layer.
    ONNX stores W [D, 4H, I] and R [D, 4H, H] in the gate order i, o, f, g, and two biases in
    B [D, 8H], which are summed. Its clip bounds the pre-activations. Its input_forget sets
    f = 1 - i.

    Args:
      source: a model, or the path of one. External data is read from the folder of that path.
      node: the name of any LSTM node of the chain to read, if the model has several chains.
      report: receives lines that say what the conversion did.

    Returns:
      Config and params. The report names the model's values that are the network's input and
      outputs. Between two LSTMs of a stack there may be any nodes that join directions, add an
      LSTM's input to its output, concatenate the network's input, or leave values unchanged. Two
      directions that no node joins become concatenated. Weights may be computed from constants.
      Initial states that are the same for all sequences become a learned initial carry.
      The weights of DynamicQuantizeLSTM nodes become those of `jlstm.quantize`, or float32 if int8
      with the zero point 0 cannot hold them. Initial states that are inputs of the model
      correspond to the `carry` of apply, and sequence_lens to its `lengths`. For layout=1 pass
      time_major=False to apply.

    Raises:
      ValueError: the model is malformed or has no LSTM, there are several chains and no `node`,
        a node between two LSTMs changes values or the meaning of an axis, or attributes or arrays
        do not fit an LSTM.
      TypeError: source is neither a model nor a path.
      ImportError: onnx is not installed.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4, 5], bidirectional=True, forget_bias=0.0)
    >>> params = init(jax.random.key(0), config)
    >>> from_onnx(to_onnx(config, params))[0] == config
    True
    """
    onnx = needs.module("onnx")
    report = Report() if report is None else report
    if not isinstance(source, (str, os.PathLike, onnx.ModelProto)):
        raise TypeError(f"source is {type(source).__name__}; expected an onnx.ModelProto or a path")
    try:
        return _read(source, node, report)
    except _UNFORESEEN as error:
        raise ValueError(
            f"the model cannot be read: {type(error).__name__} {str(error)!r:.200}; check it with "
            "onnx.checker.check_model"
        ) from error


def to_onnx(
    config: Config,
    params: Params,
    *,
    lengths: bool = False,
    carry: bool = False,
    time_major: bool = True,
    report: Report | None = None,
) -> "onnx.ModelProto":
    """A model with one native LSTM node per layer. Batch and time sizes are dynamic.

    Layers with the int8 matrices of `jlstm.quantize` become DynamicQuantizeLSTM nodes, which only
    ONNX Runtime knows. It also rounds the inputs of products to 8 bits, with one scale for all
    steps of an input, so its outputs differ by about 1 in 100.

    Args:
      config: the network.
      params: its parameters, in float32 or quantized.
      lengths: add an input "lengths" [B], int32, to the model.
      carry: add inputs "c0", "h0", "c1", ... [D, B, H], one pair per layer, and outputs "c0_last",
        "h0_last", .... Without them the model starts from the learned initial carry, or from zeros.
      time_major: whether the input "xs" and the output "ys" are [T, B, ..] or [B, T, ..].
      report: receives lines that say what the conversion did.

    Returns:
      The model. As with apply, outputs past each length are zero, and the last states are those
      at each length.

    Raises:
      TypeError, ValueError: params do not fit config, ONNX's LSTM does not support an option, or
        parameters are float64 or bfloat16, which ONNX Runtime does not run.
      ImportError: onnx is not installed.

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
            f"parameters are {config.param_dtype}; ONNX Runtime needs float32 for LSTMs: convert "
            'params with jax.tree.map(lambda a: a.astype("float32"), params), and the config with '
            'dataclasses.replace(config, dtype="float32", param_dtype="float32")'
        )
    build = builder.Builder(onnx, config, lengths, carry, time_major)
    for n, (layer, own) in enumerate(zip(config.layers, params.layers, strict=True)):
        arrays = onnx_layers.arrays_of(layer, own) | onnx_layers.states_of(layer, own)
        build.layer(n, layer, arrays, onnx_layers.attributes_of(layer))
    if config.learn_initial_carry and carry:
        report.add("the learned initial carry was left out: the model takes a carry as its inputs")
    report.add("gates were reordered from i, f, g, o to i, o, f, g")
    return build.model()


def _read(
    source: "onnx.ModelProto | str | os.PathLike", node: str | None, report: Report
) -> tuple[Config, Params]:
    graph = Graph(source)
    chain = stacks.chain_of(graph, levels_of(graph), node)
    # The level above says how a level's output is joined; the nodes that follow say it for the top.
    gives = [*[level.reads for level in chain[1:]], chain[-1].gives]
    layers = [
        onnx_layers.layer_of(level, own, level.reads.skip)
        for level, own in zip(chain, gives, strict=True)
    ]
    sides = [onnx_layers.sides_from(level) for level in chain]
    graph.constants.require_held(sum(array.nbytes for array in jax.tree.leaves(sides)))
    name, axes = stacks.source_of(graph, chain[0])
    if axes == ["B", "T", "F"]:
        report.add("the input is batch-major: pass time_major=False to apply")
    report.add(f"the input is the model's {shown(name)}, axes {', '.join(axes)}")
    if chain[-1].output:
        report.add(f"the outputs are the model's {shown(chain[-1].output)}")
    states.require_same_lengths(chain, graph, report)
    if graph.nested:
        report.add(f"LSTMs outside the main graph were left out: {', '.join(graph.nested)}")
    if any(own[0].b is not None for own in sides):
        report.add("ONNX's two biases were summed")
    report.add("gates were reordered from i, o, f, g to i, f, g, o")
    inputs = sides[0][0].w_x.i.shape[0]
    config, params = network(inputs, layers, sides, report, [level.title for level in chain])
    params = _with_int8(config, params, chain, graph, report)
    return states.with_states(config, params, chain, graph, report)


def _with_int8(
    config: Config, params: Params, chain: Sequence[Level], graph: Graph, report: Report
) -> Params:
    """The parameters with int8 matrices for levels of DynamicQuantizeLSTM nodes, where they fit."""
    made = []
    for layer, own, level in zip(config.layers, params.layers, chain, strict=True):
        nodes = [graph.quantized.get(id(lstm)) for lstm in level.lstms]
        found = [node and quantized.matrices(node, graph.constant) for node in nodes]
        sides = [side for sides in found if sides for side in sides]
        if all(found):
            own = quantized.with_matrices(layer, own, sides)
        if any(nodes):
            report.add(
                f"{level.title}: its weights {'stay int8' if all(found) else 'became float32'}; "
                "ONNX Runtime also rounds the inputs of its products, so its outputs differ by "
                "about 1 in 100"
            )
        made.append(own)
    return Params(tuple(made))
