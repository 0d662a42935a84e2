"""Parts of a Keras network: the serialised options and the arrays of each layer."""

import warnings
from typing import Any

import numpy as np

from jlstm.interop import needs
from jlstm.interop.keras import names

SILENT = ("InputLayer", "Dropout")  # without a random key, neither changes the outputs
_KINDS = (*SILENT, "LSTM", "LSTMCell", "RNN", "StackedRNNCells", "Bidirectional", "Sequential")


class Part:
    """One layer: its serialised options, and its arrays in Keras's order."""

    def __init__(self, serialized: Any, weights: list[np.ndarray]) -> None:
        try:
            self.kind, self.options = serialized["class_name"], dict(serialized["config"])
            known = self.kind.isidentifier() and len(self.kind) < 100
        except (KeyError, TypeError, ValueError, AttributeError):
            known = False
        if not known:
            raise ValueError("a layer has no valid class_name and config")
        module = serialized.get("module", "keras.layers")
        if not isinstance(module, str) or module.partition(".")[0] != "keras":
            raise ValueError(
                f"{self.kind} is a custom class (module {ascii(module)[:99]}) and may compute "
                "anything; expected a layer of Keras: copy the weights into one"
            )
        name = self.options.get("name")
        usable = isinstance(name, str) and name.isprintable() and len(name) < 100
        self.name = str(name) if usable else self.kind
        self.weights = weights
        if self.kind not in _KINDS:
            raise ValueError(
                f"{self.name} is a {self.kind}, not an LSTM; pass only the LSTM layers: "
                "from_keras([layer, ...])"
            )


def of(source: Any) -> list[Part]:
    """The parts of Keras objects, as a file of them would hold them.

    Raises:
      TypeError: an object is not a supported Keras layer, or is a Sequential that overrides call.
      ValueError: a layer has no weights yet, or an activation function has the name of one of
        Keras's but is another function.
    """
    keras = needs.module("keras")
    if isinstance(source, keras.Sequential) and type(source).call is keras.Sequential.call:
        return [part for layer in source.layers for part in of(layer)]
    if isinstance(source, (list, tuple)):
        return [part for layer in source for part in of(layer)]
    if isinstance(source, keras.Model) or not isinstance(source, keras.Layer):
        raise TypeError(
            f"source is {type(source).__name__}; expected a Keras LSTM, LSTMCell, RNN, "
            "Bidirectional, a Sequential or list of these, or a file"
        )
    if not source.built:
        raise ValueError(f"{source.name} has no weights yet; call it, or build((None, None, size))")
    _require_known_functions(keras, source)
    options: Any = keras.saving.serialize_keras_object(source)
    with warnings.catch_warnings():
        # The __array__ of Keras's variables lags behind NumPy's; users cannot do anything about it.
        warnings.simplefilter("ignore", DeprecationWarning)
        arrays = [np.asarray(weight) for weight in source.get_weights()]
    return [Part(options, arrays)]


def _require_known_functions(keras: Any, layer: Any) -> None:
    """ValueError if an activation has the name of one of Keras's functions but is another function.

    Keras serialises only the name, so the difference would be lost.
    """
    for option in ("activation", "recurrent_activation"):
        own = getattr(layer, option, None)
        name = getattr(own, "__name__", None)
        if name in names.ACTIVATIONS and own is not keras.activations.get(name):
            raise ValueError(
                f"{layer.name}: its {option} is a function named {name}, but not Keras's; if they "
                f'compute the same, pass the name: {option}="{name}"'
            )
    inner = [getattr(layer, way, None) for way in ("cell", "forward_layer", "backward_layer")]
    for part in (*inner, *(getattr(layer, "cells", None) or ())):
        if part is not None:
            _require_known_functions(keras, part)
