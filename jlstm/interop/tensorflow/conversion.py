"""Conversion from and to the variables of TensorFlow 1's LSTM cells."""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from jlstm import validation
from jlstm.config import Config
from jlstm.files import npz
from jlstm.interop import sources
from jlstm.interop.report import Report
from jlstm.interop.sides import (
    join,
    network,
    require,
    require_one_activation,
    shifted,
    sides_of,
)
from jlstm.interop.tensorflow import cells, checkpoint
from jlstm.interop.tensorflow import names as tensorflow_names
from jlstm.interop.tensorflow.cells import ORDER
from jlstm.interop.tensorflow.names import PEEPHOLES, Cell
from jlstm.params import Params

_OPTIONS = ("bidirectional", "projection_size", "peepholes", "cell_clip", "projection_clip")


@sources.in_words
def from_tensorflow(
    source: Mapping[str, Any] | str | os.PathLike,
    *,
    scope: str | Sequence[str] = "",
    forget_bias: float | None = None,
    cell_clip: float | None = None,
    projection_clip: float | None = None,
    activation: str = "tanh",
    report: Report | None = None,
) -> tuple[Config, Params]:
    """Converts the weights of BasicLSTMCell, LSTMCell, LSTMBlockCell, CudnnLSTM, or a stack.

    TensorFlow 1 stores one kernel [I + P, 4H] with the input's rows first, in the gate order
    i, g, f, o. It adds `forget_bias` at every step. Here that is part of the bias.

    Args:
      source: arrays by variable name, or the path of a checkpoint, as tf.train.Saver returns it, or
        of an .npz file. Files are read without TensorFlow.
      scope: variable scope of the cells, in whole path components: "encoder/rnn". By default cells
        are found in every scope. A list of scopes, lowest layer first, forms one stack.
      forget_bias: forget_bias of the cells, which the variables do not hold. The default is that of
        the cells: 1, or 0 for the saved form of CudnnLSTM.
      cell_clip, projection_clip, activation: options of the cells, which the variables do not hold.
      report: receives lines that say what the conversion did.

    Returns:
      config and params, in the dtype of the weights (float16 becomes float32). Cells named fw and
      bw become the two directions of one layer. A cell bw without fw becomes a layer with
      reverse=True. `carry_from_tensorflow` converts states.

    Raises:
      TypeError: source is neither a path nor a mapping, or an option has the wrong type.
      ValueError: there is no LSTM cell, a cell of another kind or with further variables, or
        several networks; scope has a cell twice; arrays do not fit each other; or the file is
        damaged.

    >>> kernel, bias = np.ones((10, 16), "float32"), np.zeros(16, "float32")
    >>> names = {"rnn/lstm_cell/kernel": kernel, "rnn/lstm_cell/bias": bias}
    >>> config, params = from_tensorflow(names)
    >>> config.input_size, config.layers[0].hidden_size, params.layers[0].b[4].item()
    (6, 4, 1.0)
    """
    report = Report() if report is None else report
    scopes = tensorflow_names.scopes(scope)
    if forget_bias is not None:
        forget_bias = validation.single("forget_bias", forget_bias)
    options: dict[str, Any] = {"activation": activation, "cell_activation": activation}
    options |= {"cell_clip": cell_clip, "projection_clip": projection_clip}
    return _network(source, scopes, forget_bias, options, report)


def to_tensorflow(
    config: Config,
    params: Params,
    *,
    forget_bias: float = 1.0,
    scope: str = "rnn",
    report: Report | None = None,
) -> dict[str, np.ndarray]:
    """Arrays under the variable names of LSTMCell, alone or in a MultiRNNCell.

    They fit cells with the num_proj, use_peepholes and clips of each layer, and with this
    forget_bias, which is subtracted from the bias. Load them with variable.load(array, session).

    Args:
      config: the network.
      params: its parameters.
      forget_bias: forget_bias of the cells.
      scope: prefix of the names.
      report: receives lines that say what the conversion did.

    Returns:
      Arrays by name, in config.param_dtype: kernels [I + P, 4H], biases [4H], and those of
      peepholes and projections.

    Raises:
      TypeError, ValueError: params do not fit config, or TensorFlow 1 does not support an option.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4])
    >>> {k: v.shape for k, v in to_tensorflow(config, init(jax.random.key(0), config)).items()}
    {'rnn/lstm_cell/kernel': (10, 16), 'rnn/lstm_cell/bias': (16,)}
    """
    report = Report() if report is None else report
    forget_bias = validation.single("forget_bias", forget_bias)
    require(config, params, "TensorFlow 1", (*_OPTIONS, "activation", "cell_activation"), report)
    require_one_activation(config, "TensorFlow 1")
    report.add("gates were reordered from i, f, g, o to i, g, f, o")
    if forget_bias:
        report.add(f"{forget_bias:g} was subtracted from the forget gate's bias: the cells add it")
    made = {}
    many = len(config.layers) > 1
    ways = any(layer.bidirectional for layer in config.layers)
    for n, (layer, own) in enumerate(zip(config.layers, params.layers, strict=True)):
        cell = "bidirectional_rnn/{}/lstm_cell" if layer.bidirectional else "lstm_cell"
        if many:
            cell = f"cell_{n}/{cell}" if ways else f"multi_rnn_cell/cell_{n}/{cell}"
        for side, way in zip(sides_of(layer, own), ("fw", "bw"), strict=False):
            name = f"{scope}/{cell.format(way)}" if scope else cell.format(way)
            rows = [join(side.w_x, ORDER), join(side.w_h, ORDER)]
            made[f"{name}/kernel"] = np.concatenate(rows)
            if side.b is not None:
                made[f"{name}/bias"] = join(shifted(side.b, -forget_bias), ORDER)
            for peephole, array in zip(PEEPHOLES, side.peepholes or (), strict=False):
                made[f"{name}/{peephole}"] = array
            if side.projection is not None:
                made[f"{name}/projection/kernel"] = side.projection
    return made


def _network(
    source: Any,
    scopes: Sequence[str],
    forget_bias: float | None,
    options: dict[str, Any],
    report: Report,
) -> tuple[Config, Params]:
    stack: list[list[Cell]] = []

    def choose(names: Collection[str]) -> list[str]:
        for own in scopes:
            stack.extend(tensorflow_names.layers(names, own))
        prefixes = [cell.prefix for layer in stack for cell in layer]
        if len(set(prefixes)) < len(prefixes):
            raise ValueError(f"scope has a cell twice: {prefixes[:8]}; expected each once")
        read = [name for layer in stack for cell in layer for name in cell.variables.values()]
        slots = {name.removesuffix(":0") for name in read}  # those of an optimiser lie below
        left = [name for name in set(names) - set(read) if name.rpartition("/")[0] not in slots]
        if left:
            report.add(f"left out, as no variables of these cells: {validation.some(left)}")
        return read

    arrays = _read(source, choose)
    layers, sides = [], []
    projects = any("projection/kernel" in own[0].variables for own in stack)
    for n, own in enumerate(stack):
        cudnn = any("cudnn_compatible" in cell.prefix for cell in own)
        added = (0.0 if cudnn else 1.0) if forget_bias is None else forget_bias
        if added:
            report.add(
                f"{added:g}, which cells add to the forget gate at every step, is now in the bias"
            )
        given = dict(options)
        apart = projects and "projection/kernel" not in own[0].variables
        if apart and given.pop("projection_clip") is not None:
            report.add(f"layer {n} has no projection, so projection_clip does not apply to it")
        sides.append([cells.side_of(cell, arrays, added) for cell in own])
        layers.append(cells.layer_of(own, sides[-1][0], added, given))
        if layers[-1].reverse:
            report.add(f"{own[0].prefix} is a cell bw without fw: layer {n} has reverse=True")
    report.add("gates were reordered from i, g, f, o to i, f, g, o")
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report)


def _read(source: Any, choose: Any) -> dict[str, np.ndarray]:
    """The chosen arrays by their full names."""
    if isinstance(source, (str, os.PathLike)):
        named = str(source).lower().endswith(".npz")
        return npz.read(source, choose) if named else checkpoint.read(source, choose)
    if not isinstance(source, Mapping):
        raise TypeError(
            f"source is {type(source).__name__}; expected arrays by variable name, or a path"
        )
    if odd := [name for name in source if not isinstance(name, str)]:
        raise TypeError(f"source has the name {odd[0]!r}; expected a variable's name, as a string")
    return {name: np.asarray(source[name]) for name in choose(list(source))}
