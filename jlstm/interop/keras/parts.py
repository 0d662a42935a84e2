"""Parts of a Keras network: each layer's serialised form beside its arrays."""

import warnings
from typing import Any

import numpy as np

from jlstm.interop import needs
from jlstm.interop.keras import names

SILENT = ("InputLayer", "Dropout")  # neither changes what comes out without a random key
_KINDS = (*SILENT, "LSTM", "LSTMCell", "RNN", "StackedRNNCells", "Bidirectional", "Sequential")


class Part:
    """One layer: what Keras's serialised form says of it, and its arrays in its own order."""

    def __init__(self, serialized: Any, weights: list[np.ndarray]) -> None:
        try:
            self.kind, self.options = serialized["class_name"], dict(serialized["config"])
            known = self.kind.isidentifier() and len(self.kind) < 100
        except (KeyError, TypeError, ValueError, AttributeError):
            known = False
        if not known:
            raise ValueError("a layer lacks a class_name and a config")
        module = serialized.get("module", "keras.layers")
        if not isinstance(module, str) or module.partition(".")[0] != "keras":
            raise ValueError(
                f"{self.kind} is a class of your own (module {ascii(module)[:99]}), not one of "
                "Keras's layers, and may compute anything; copy its weights to one of Keras's"
            )
        name = self.options.get("name")
        usable = isinstance(name, str) and name.isprintable() and len(name) < 100
        self.name = str(name) if usable else self.kind
        self.weights = weights
        if self.kind not in _KINDS:
            raise ValueError(
                f"{self.name} is a {self.kind}, which is no LSTM; pass the LSTM layers alone: "
                "from_keras([layer, ...])"
            )


def of(source: Any) -> list[Part]:
    """Keras objects, as what their files would hold of them.

    Raises:
      TypeError: it is none of Keras's layers, or a Sequential with a call of its own.
      ValueError: a layer has no weights yet, or a function under the name of one of Keras's.
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
        # Keras's own variables are behind NumPy's rule for __array__, which is no caller's doing.
        warnings.simplefilter("ignore", DeprecationWarning)
        arrays = [np.asarray(weight) for weight in source.get_weights()]
    return [Part(options, arrays)]


def _require_known_functions(keras: Any, layer: Any) -> None:
    """ValueError where an activation is a function of a known name, but not Keras's own.

    Keras writes down its name alone.
    """
    for option in ("activation", "recurrent_activation"):
        own = getattr(layer, option, None)
        name = getattr(own, "__name__", None)
        if name in names.ACTIVATIONS and own is not keras.activations.get(name):
            raise ValueError(
                f"{layer.name} has as its {option} a function called {name}, which is not Keras's; "
                f'pass the name, {option}="{name}", if they are the same'
            )
    inner = [getattr(layer, way, None) for way in ("cell", "forward_layer", "backward_layer")]
    for part in (*inner, *(getattr(layer, "cells", None) or ())):
        if part is not None:
            _require_known_functions(keras, part)
