"""The layers of live Keras objects, as a file of them would hold them."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.interop.keras import names, options, tree
from jlstm.interop.keras.parts import Part
from jlstm.interop.keras.tree import Leaf


class Live:
    """The place of a layer's arrays: the layer itself, or a list of layers."""

    def __init__(self, keras: Any, layer: Any) -> None:
        self.keras, self.layer = keras, layer

    def arrays(self) -> list[np.ndarray]:
        """The arrays of the layer.

        Raises:
          ValueError: it has no weights yet, or an activation has the name of one of Keras's but is
            another function.
        """
        layer = self.layer
        if layer is None:
            raise ValueError("an LSTM is not where its options say; pass the layer itself")
        if not layer.built:
            raise ValueError(
                f"{layer.name} has no weights yet; call it, or build((None, None, size))"
            )
        _require_known_functions(self.keras, layer)
        with warnings.catch_warnings():
            # The __array__ of Keras's variables lags behind NumPy's; users cannot do anything
            # about it.
            warnings.simplefilter("ignore", DeprecationWarning)
            return [np.asarray(weight) for weight in _ordered(layer)]

    def inside(self, layers: Sequence[Any]) -> "list[Live]":
        """The places of a model's layers."""
        if isinstance(self.layer, (list, tuple)):
            return [Live(self.keras, layer) for layer in self.layer]
        held = {layer.name: layer for layer in self.layer.layers}
        return [Live(self.keras, held.get(Part(layer, []).name)) for layer in layers]

    def wrapped(self) -> "Live":
        """The place of the layer that this layer wraps."""
        inner = (getattr(self.layer, way, None) for way in ("layer", "forward_layer"))
        return Live(self.keras, next((layer for layer in inner if layer is not None), None))


def _ordered(layer: Any) -> list[Any]:
    """The weights of a layer: forward before backward, lower before upper cells.

    get_weights() of Keras 2 gives the trainable ones before the frozen ones.
    """
    inner = [getattr(layer, way, None) for way in ("forward_layer", "backward_layer", "cell")]
    inner = [part for part in (*inner, *(getattr(layer, "cells", None) or ())) if part is not None]
    found = [weight for part in inner for weight in _ordered(part)]
    whole = layer.get_weights()
    return found if len(found) == len(whole) else whole  # a layer may have weights of its own


def leaves(source: Any) -> list[Leaf]:
    """All layers of a layer or model, or of a list of these, which is taken as a Sequential.

    Raises:
      TypeError: an object is not a Keras layer.
    """
    own = list(source) if isinstance(source, (list, tuple)) else [source]
    while any(isinstance(layer, (list, tuple)) for layer in own):
        own = [
            inner
            for layer in own
            for inner in (layer if isinstance(layer, (list, tuple)) else [layer])
        ]
    keras = _library(own)
    forms = [_serialized(keras, layer) for layer in own]
    if len(forms) == 1:
        return tree.leaves(forms[0], Live(keras, own[0]))
    return tree.leaves(_model("Sequential", "keras", "stack", forms), Live(keras, own))


def _library(layers: list[Any]) -> Any:
    """The package whose layers these are: Keras, or tf_keras, which is Keras 2."""
    for name in names.PACKAGES:
        keras = sys.modules.get(name)
        if keras and all(isinstance(layer, keras.layers.Layer) for layer in layers):
            return keras
    odd = [layer for layer in layers if "keras" not in type(layer).__module__] or layers
    raise TypeError(
        f"source is {type(odd[0]).__name__ if odd else 'an empty list'}; expected a Keras LSTM, "
        "LSTMCell, RNN, Bidirectional, a model or list of these, or a file"
    )


def _serialized(keras: Any, layer: Any) -> dict[str, Any]:
    """The serialised form of a layer. A model with its own call is of an unknown class."""
    kind = type(layer)
    model = isinstance(layer, keras.Model)
    if not model or kind.__module__.partition(".")[0] in names.PACKAGES:
        try:
            form = keras.saving.serialize_keras_object(layer)
        except (NotImplementedError, TypeError, ValueError):  # a class without get_config
            pass
        else:
            return _renamed(form) if keras.__version__.startswith("2.") else form
    forms = [_serialized(keras, inner) for inner in layer.layers] if model else None
    return _model(kind.__name__, kind.__module__, layer.name, forms)


def _model(kind: str, module: str, name: str, layers: list[Any] | None) -> dict[str, Any]:
    config = {"name": name} | ({} if layers is None else {"layers": layers})
    return {"module": module, "class_name": kind, "config": config}


def _renamed(form: Any) -> Any:
    """A serialised form of Keras 2 with Keras 3's names of activations."""
    if isinstance(form, dict):
        return options.renamed({name: _renamed(value) for name, value in form.items()})
    return [_renamed(value) for value in form] if isinstance(form, (list, tuple)) else form


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
