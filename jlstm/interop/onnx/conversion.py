"""ONNX: models with native LSTM nodes, out of and into."""

import os
from typing import TYPE_CHECKING

import jax

from jlstm import validation
from jlstm.config import Config
from jlstm.interop import needs
from jlstm.interop.onnx import builder, states
from jlstm.interop.onnx import layers as onnx_layers
from jlstm.interop.onnx.graph import Graph
from jlstm.interop.onnx.node import shown
from jlstm.interop.report import Report
from jlstm.interop.sides import network, require
from jlstm.params import Params

if TYPE_CHECKING:
    import onnx

_OPTIONS = (
    *("bidirectional", "merge", "reverse", "bias", "peepholes", "coupled_gates", "gate_clip"),
    *("activation", "recurrent_activation", "cell_activation", "residual", "skip"),
)

# What a model that is malformed in some further way may lead to.
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError)


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
      Config and params; the report says which values of the model the network's input and
      outputs are. Between two LSTMs of a stack may stand what joins directions, adds an LSTM's
      input to its output or puts the network's input beside it, and what leaves values as they
      are; two directions that nothing joins count as concatenated. Initial states that are
      constants, the same for all sequences, become a learned initial carry; those that are inputs
      of the model are `carry` in apply, as sequence_lens are `lengths`. With layout=1 pass
      time_major=False.

    Raises:
      ValueError: not a whole model, no LSTM in it, several chains, something between two LSTMs
        that changes numbers or the meaning of an axis, or attributes and arrays that fit no LSTM.
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
        with validation.plain_errors():
            return _read(source, node, report)
    except _UNFORESEEN as error:
        raise ValueError(
            f"the model cannot be understood: {type(error).__name__} {str(error)!r:.200}; check it "
            "with onnx.checker.check_model"
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
    """A model with one native LSTM node a layer; batch and time are free.

    Args:
      config: the network.
      params: its parameters, in float32.
      lengths: give the model an input "lengths" [B], int32.
      carry: give it inputs "c0", "h0", "c1", ... [D, B, H], a pair a layer, and outputs
        "c0_last", "h0_last", ...; else it starts from zeros.
      time_major: its input "xs" and output "ys" are [T, B, ..], else [B, T, ..].
      report: what was done is added to it.

    Returns:
      The model. Past each length its outputs are zero, and its last states are those of the last
      step within it, as those of apply are.

    Raises:
      TypeError, ValueError: params that do not fit config, an option that ONNX's LSTM lacks, or
        float64 or bfloat16 parameters, which ONNX Runtime does not run.
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
            f"parameters are {config.param_dtype}; ONNX Runtime runs LSTMs in float32: convert "
            'params with jax.tree.map(lambda a: a.astype("float32"), params), and the config with '
            'dataclasses.replace(config, dtype="float32", param_dtype="float32")'
        )
    build = builder.Builder(onnx, config, lengths, carry, time_major)
    for n, (layer, own) in enumerate(zip(config.layers, params.layers, strict=True)):
        arrays = onnx_layers.arrays_of(layer, own)
        build.layer(n, layer, arrays, onnx_layers.attributes_of(layer))
    report.add("gates went from the order i, f, g, o to i, o, f, g")
    return build.model()


def _read(
    source: "onnx.ModelProto | str | os.PathLike", node: str | None, report: Report
) -> tuple[Config, Params]:
    graph = Graph(source)
    chain = graph.chain(node)
    around, output = graph.around(chain)
    layers = [onnx_layers.layer_of(*pair) for pair in zip(chain, around, strict=True)]
    sides = [onnx_layers.sides_from(lstm) for lstm in chain]
    graph.constants.require_held(sum(array.nbytes for array in jax.tree.leaves(sides)))
    root = chain[0]
    # The input's axes, in the order that it has where the model is given it.
    axes = [name for _, name in sorted(zip(root.reads.axes, root.x_axes, strict=True))]
    if axes == ["B", "T", "F"]:
        report.add("the input has the batch before time: pass time_major=False to apply")
    report.add(f"the input is the model's {shown(root.reads.origin)}, axes {', '.join(axes)}")
    if output:
        report.add(f"the outputs are the model's {shown(output)}")
    states.require_same_lengths(chain, report)
    if any(own[0].b is not None for own in sides):
        report.add("ONNX's two biases were summed")
    report.add("gates went from the order i, o, f, g to i, f, g, o")
    inputs = sides[0][0].w_x.i.shape[0]
    config, params = network(inputs, layers, sides, report, [lstm.title for lstm in chain])
    return states.with_states(config, params, chain, report)
