"""Keras 3: LSTM layers, their cells, Bidirectional, and Sequential stacks of these."""

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.config import Config, Layer
from jlstm.interop import keras_files, needs
from jlstm.interop.report import Report
from jlstm.interop.sides import (
    Side,
    join,
    network,
    require,
    require_one_activation,
    sides_of,
    split,
)
from jlstm.params import Params

if TYPE_CHECKING:
    import keras

# Keras's names; its leaky_relu has another slope than ours.
_SAME = (
    *("elu", "exponential", "gelu", "hard_sigmoid", "linear", "relu", "selu", "sigmoid", "silu"),
    *("softplus", "softsign", "tanh"),
)
_ACTIVATIONS = {name: name for name in _SAME} | {"leaky_relu": "leaky_relu(0.2)", "swish": "silu"}
_OURS = {ours: name for name, ours in _ACTIVATIONS.items() if name != "swish"}
_SILENT = ("InputLayer", "Dropout")  # neither changes what comes out without a random key
_KINDS = (*_SILENT, "LSTM", "LSTMCell", "RNN", "StackedRNNCells", "Bidirectional")
_MERGES = {"concat": "concat", "sum": "sum", "mul": "mul", "ave": "average", None: "none"}


def from_keras(
    source: "keras.Layer | Sequence[keras.Layer] | str | os.PathLike",
    *,
    report: Report | None = None,
) -> tuple[Config, Params]:
    """A network with the weights of Keras's.

    Keras keeps one kernel [I, 4H], one recurrent kernel [H, 4H] and one bias [4H], in our order
    i, f, g, o and with the forget gate's 1 inside; its one `activation` is used twice.

    Args:
      source: an LSTM, LSTMCell, RNN of LSTMCell or StackedRNNCells, Bidirectional, a Sequential
        or list of these, or a .keras or .weights.h5 file; files are read without Keras, so that
        no code in them runs. A .weights.h5 file does not say which activations and merges its
        network has, nor what its layers read: the default ones are assumed, and each LSTM to read
        the one before.
      report: what was done is added to it.

    Returns:
      config and params. Keras is batch-major: pass time_major=False to `apply`. It returns the
      last output alone where return_sequences=False: take ys[-1]. A go_backwards layer's outputs
      stand here in the order of its inputs.

    Raises:
      TypeError: source is none of these.
      ValueError: a layer that is no LSTM, an option that has no counterpart here, a layer that
        was not built yet, a file that is none of Keras's.
      ImportError: Keras, or for files h5py, is not installed.

    >>> import keras
    >>> layer = keras.layers.LSTM(4)
    >>> layer.build((None, None, 6))
    >>> config, params = from_keras(layer)
    >>> config.input_size, params.layers[0].w_x.shape
    (6, (6, 16))
    """
    report = Report() if report is None else report
    if not isinstance(source, (str, os.PathLike)):
        return _stack(_parts(source), report)
    parts = keras_files.read(source, report)
    try:
        return _stack(parts, report)
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(
            f"{source}: its config.json is not as Keras writes it: {error!r}"
        ) from None


def _stack(parts: list[keras_files.Part], report: Report) -> tuple[Config, Params]:
    """The network of layers one above the other."""
    for part in parts:
        if part.kind not in _KINDS:
            raise ValueError(
                f"{part.name} is a {part.kind}, which is no LSTM; pass the LSTM layers alone: "
                "from_keras([layer, ...])"
            )
    if all(part.kind in _SILENT for part in parts):
        raise ValueError("there is no LSTM layer in it")
    layers: list[Layer] = []
    sides: list[list[Side]] = []
    flipped, dropped = False, 0.0  # whether the layer reads time backwards, and after what dropout
    top = [part for part in parts if part.kind not in _SILENT][-1]
    for part in parts:
        for layer, own, backwards in _read(part, report, last=part is top):
            if layer.dropout and dropped:
                raise ValueError(
                    f"{part.name} has a dropout of its own after one of {dropped:g}; make it one"
                )
            both = layer.bidirectional
            flipped ^= backwards
            if flipped and both:
                if layer.merge == "concat":
                    raise ValueError(
                        f"{part.name} concatenates its directions in an order that has no "
                        "counterpart after go_backwards; leave out go_backwards below it"
                    )
                own = own[::-1]
            dropout = layer.dropout or dropped
            reverse = flipped and not both
            layers.append(dataclasses.replace(layer, reverse=reverse, dropout=dropout))
            sides.append(own)
            dropped = 0.0
        if part.kind == "Dropout":
            dropped = part.options.get("rate", 0.0)
    if dropped:
        report.add(f"a dropout of {dropped:g} after the last LSTM was left out")
    if flipped:
        report.add("Keras's outputs are in reverse order after go_backwards; ours are not")
    report.add("Keras is batch-major: pass time_major=False to apply")
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report)


def to_keras(config: Config, params: Params, *, report: Report | None = None) -> "keras.Sequential":
    """A Sequential of LSTM layers, return_sequences=True, with these weights.

    Args:
      config: the network.
      params: its parameters.
      report: what was done is added to it.

    Raises:
      TypeError, ValueError: params do not fit config, or an option that Keras lacks.
      ImportError: Keras is not installed.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4, 5], bidirectional=True, merge="sum")
    >>> to_keras(config, init(jax.random.key(0), config)).output_shape
    (None, None, 5)
    """
    keras = needs.module("keras")
    report = Report() if report is None else report
    can = (
        "bidirectional merge bias activation cell_activation recurrent_activation dropout "
        "recurrent_dropout held_masks"
    )
    require(config, params, "Keras", can.split(), report)
    require_one_activation(config, "Keras")
    model = keras.Sequential([keras.Input((None, config.input_size), dtype=config.param_dtype)])
    merges = {ours: theirs for theirs, ours in _MERGES.items()}
    for n, (layer, own) in enumerate(zip(config.layers, params.layers, strict=True)):
        if layer.recurrent_dropout and not layer.held_masks:
            report.add(f"layer {n}: Keras holds the masks of recurrent_dropout over time")
        if layer.dropout and not layer.held_masks:
            model.add(keras.layers.Dropout(layer.dropout, dtype=config.param_dtype))
        made: Any = keras.layers.LSTM(
            layer.hidden_size,
            activation=_theirs(layer.activation),
            recurrent_activation=_theirs(layer.recurrent_activation),
            use_bias=layer.bias,
            unit_forget_bias=layer.bias and layer.forget_bias == 1,
            dropout=layer.dropout if layer.held_masks else 0.0,
            recurrent_dropout=layer.recurrent_dropout,
            return_sequences=True,
            dtype=config.param_dtype,
        )
        if layer.bidirectional:
            made = keras.layers.Bidirectional(
                made, merge_mode=merges[layer.merge], dtype=config.param_dtype
            )
        model.add(made)
        arrays = []
        for side in sides_of(layer, own):
            arrays += [join(gates) for gates in side[:3] if gates is not None]
        made.set_weights(arrays)
    return model


def _theirs(name: Any) -> str:
    """What Keras calls one of our activations."""
    if callable(name):
        raise ValueError(f"the activation {name} is a function; Keras is given names alone")
    if name not in _OURS:
        raise ValueError(f"Keras has no activation {name!r}; it has {sorted(_OURS)}")
    return _OURS[name]


def _ours(name: str) -> str:
    """What we call one of Keras's activations."""
    if name not in _ACTIVATIONS:
        raise ValueError(
            f"Keras's activation {name!r} has no counterpart here; known are {sorted(_ACTIVATIONS)}"
        )
    return _ACTIVATIONS[name]


def _parts(source: Any) -> list[keras_files.Part]:
    """Keras objects, as what their files would hold of them."""
    keras = needs.module("keras")
    if isinstance(source, keras.Sequential):
        return [part for layer in source.layers for part in _parts(layer)]
    if isinstance(source, (list, tuple)):
        return [part for layer in source for part in _parts(layer)]
    if isinstance(source, keras.Model) or not isinstance(source, keras.Layer):
        raise TypeError(
            f"source is {type(source).__name__}; expected a Keras LSTM, LSTMCell, RNN, "
            "Bidirectional, a Sequential or list of these, or a file"
        )
    if not source.built:
        raise ValueError(f"{source.name} has no weights yet; call it, or build((None, None, size))")
    options: Any = keras.saving.serialize_keras_object(source)
    with warnings.catch_warnings():
        # Keras's own variables are behind NumPy's rule for __array__, which is no caller's doing.
        warnings.simplefilter("ignore", DeprecationWarning)
        arrays = [np.asarray(weight) for weight in source.get_weights()]
    return [keras_files.Part(options, arrays)]


def _read(part: keras_files.Part, report: Report, last: bool) -> list[tuple[Layer, Any, bool]]:
    """(layer, its sides, whether it goes backwards) for each layer in a part of a Keras network."""
    if part.kind in _SILENT:
        return []
    options, weights = part.options, list(part.weights)
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
        read = _read(own, report, last) if own.kind in ("LSTM", "RNN") else []
        if len(read) != 1:
            what = f"{len(read)} cells" if read else f"a {own.kind}"
            raise ValueError(f"{part.name} wraps {what}; expected one LSTM, or an RNN of one")
        ((layer, (side,), backwards),) = read
        if backwards and own.options is options["layer"]["config"]:
            raise ValueError(f"{part.name} has a forward layer with go_backwards=True")
        sides.append(side)
        layers.append(layer)
    if layers[0] != layers[1]:
        raise ValueError(f"{part.name} has two directions whose options differ")
    merge = options.get("merge_mode", "concat")
    if merge not in _MERGES:
        raise ValueError(f"{part.name} has merge_mode {merge!r}, which is not known")
    both = dataclasses.replace(layers[0], bidirectional=True, merge=_MERGES[merge])
    return both, sides, False


def _layer(options: Mapping[str, Any], name: str, report: Report) -> Layer:
    for option in ("kernel", "recurrent", "bias"):
        if options.get(f"{option}_constraint") or options.get(f"{option}_regularizer"):
            report.add(f"{name}: constraints and regularizers act in training alone: left out")
    names = [options.get("activation", "tanh"), options.get("recurrent_activation", "sigmoid")]
    for given in names:
        if not isinstance(given, str):
            raise ValueError(f"{name} has an activation of its own, {given}; expected a name")
    own, recurrent = (_ours(given) for given in names)
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
