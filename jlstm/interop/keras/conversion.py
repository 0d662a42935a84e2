"""Conversion from Keras's layers, models and files, and to Sequential models of Keras 3."""

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jlstm import validation
from jlstm.config import Config, Layer
from jlstm.interop import needs, sources
from jlstm.interop.keras import choice, files, live, names
from jlstm.interop.keras import layers as keras_layers
from jlstm.interop.keras.names import MERGES
from jlstm.interop.keras.parts import SILENT, Part
from jlstm.interop.report import Report
from jlstm.interop.sides import (
    Side,
    join,
    network,
    require,
    require_one_activation,
    sides_of,
)
from jlstm.params import Params

if TYPE_CHECKING:
    import keras


@sources.in_words
def from_keras(
    source: "keras.Layer | Sequence[keras.Layer] | str | os.PathLike",
    *,
    layer: str | Sequence[str] | None = None,
    report: Report | None = None,
) -> tuple[Config, Params]:
    """Converts the weights of Keras LSTM layers.

    Keras stores one kernel [I, 4H], one recurrent kernel [H, 4H] and one bias [4H], in our gate
    order i, f, g, o. Its bias includes the forget gate's 1. Keras uses one `activation` for the
    candidate and for the output.

    Args:
      source: an LSTM, LSTMCell, RNN of LSTMCell or StackedRNNCells, or Bidirectional, of Keras 3 or
        of tf_keras; a model with such layers, or a list of these; a .keras, .weights.h5 or older
        .h5 file; or the path of a TensorFlow 2 checkpoint or SavedModel. Files are read without
        Keras and TensorFlow, and no code in them runs. Files of weights and checkpoints say neither
        activations and merges nor how layers are connected. The defaults are assumed. If a file
        holds nothing but LSTMs in a known order, each is taken to read the one before it.
      layer: name of the LSTM to read, or a list of names that form a stack, lowest first. Layers of
        nested models have names such as "encoder/lstm". It is needed if the source has several
        LSTMs that do not form one stack. Other layers are left out, and the report names them.
      report: receives lines that say what the conversion did.

    Returns:
      config and params, in the dtype of the weights (float16 becomes float32). Keras is
      batch-major: pass time_major=False to `apply`. With return_sequences=False Keras returns only
      the last output. Use carry[-1].h for it; for a Bidirectional, merge the two directions in it.
      Unlike Keras, `apply` returns the outputs of a go_backwards layer in the order of its inputs.

    Raises:
      TypeError: source is none of these.
      ValueError: there is no LSTM, several that are no stack and no `layer`, or none of that name;
        one is not built yet; an option is not supported; or the file is not one of Keras.
      ImportError: h5py for files, or google-crc32c for checkpoints, is not installed.

    >>> import keras
    >>> layer = keras.layers.LSTM(4)
    >>> layer.build((None, None, 6))
    >>> config, params = from_keras(layer)
    >>> config.input_size, params.layers[0].w_x.shape
    (6, (6, 16))
    """
    report = Report() if report is None else report
    chosen = choice.names(layer)
    if isinstance(source, (str, os.PathLike)):
        return _of_file(source, chosen, report)
    found = live.leaves(source)
    return _stack(choice.parts(found, chosen, report, type(source).__name__), report)


def _of_file(
    path: str | os.PathLike, layer: list[str] | None, report: Report
) -> tuple[Config, Params]:
    parts = files.read(path, layer, report)
    try:
        return _stack(parts, report)
    except TypeError as error:
        why = error
    except (KeyError, AttributeError, IndexError, OverflowError):
        why = "a layer lacks an option"
    raise ValueError(f"{path}: its options are not valid for Keras: {why}")


def _stack(parts: list[Part], report: Report) -> tuple[Config, Params]:
    """The network of a stack of layers, lowest first."""
    layers: list[Layer] = []
    sides: list[list[Side]] = []
    named: list[str] = []
    flipped, dropped = False, 0.0  # time runs backwards; pending Dropout rate
    top = [part for part in parts if part.kind not in SILENT][-1]
    for part in parts:
        for layer, own, backwards in keras_layers.read(part, report, last=part is top):
            if layer.dropout and dropped:
                raise ValueError(
                    f"{part.name} has dropout, and a Dropout layer of {dropped:g} comes before it; "
                    "remove one of them"
                )
            both = layer.bidirectional
            flipped ^= backwards
            if flipped and both:
                if layer.merge in ("concat", "none"):
                    what = "concatenates" if layer.merge == "concat" else "returns"
                    raise ValueError(
                        f"{part.name} {what} its directions in an order that is not "
                        "supported after a go_backwards layer; leave out go_backwards below it"
                    )
                own = own[::-1]
            dropout = layer.dropout or dropped
            reverse = flipped and not both
            layers.append(dataclasses.replace(layer, reverse=reverse, dropout=dropout))
            sides.append(own)
            named.append(part.name)
            dropped = 0.0
        if part.kind == "Dropout":
            rate = part.options.get("rate", 0.0)
            dropped = validation.number(f"{part.name}'s rate", rate, low=0, below=1)
    if dropped:
        report.add(f"a dropout of {dropped:g} after the last LSTM was left out")
    if flipped:
        report.add(
            "go_backwards: Keras returns the outputs in reversed order, jlstm in the inputs' order"
        )
    if any(part.time_major for part in parts):
        report.add("the LSTM is time-major in Keras, as apply is by default")
    else:
        report.add("Keras is batch-major: pass time_major=False to apply")
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report, named)


def to_keras(config: Config, params: Params, *, report: Report | None = None) -> "keras.Sequential":
    """A Keras Sequential of LSTM layers with these weights and return_sequences=True.

    Args:
      config: the network.
      params: its parameters.
      report: receives lines that say what the conversion did.

    Returns:
      The built model, in config.param_dtype. It takes and returns [B, T, features].

    Raises:
      TypeError, ValueError: params do not fit config, or Keras does not support an option.
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
    merges = {ours: theirs for theirs, ours in MERGES.items()}
    drawn = {}
    if config.param_dtype == "bfloat16":
        # JAX cannot draw the default, an orthogonal matrix, in bfloat16.
        drawn["recurrent_initializer"] = "glorot_uniform"
    for n, (layer, own) in enumerate(zip(config.layers, params.layers, strict=True)):
        if layer.recurrent_dropout and not layer.held_masks:
            report.add(f"layer {n}: Keras uses the same recurrent_dropout mask at all steps")
        if layer.dropout and not layer.held_masks:
            model.add(keras.layers.Dropout(layer.dropout, dtype=config.param_dtype))
        made: Any = keras.layers.LSTM(
            layer.hidden_size,
            activation=names.theirs(layer.activation),
            recurrent_activation=names.theirs(layer.recurrent_activation),
            use_bias=layer.bias,
            unit_forget_bias=layer.bias and layer.forget_bias == 1,
            dropout=layer.dropout if layer.held_masks else 0.0,
            recurrent_dropout=layer.recurrent_dropout,
            return_sequences=True,
            dtype=config.param_dtype,
            **drawn,
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
