"""Parts of a Keras network: the serialised options and the arrays of each layer."""

from typing import Any

import numpy as np

from jlstm.interop.keras import names

SILENT = ("InputLayer", "Dropout")  # without a random key, neither changes the outputs
LSTMS = ("LSTM", "LSTMCell")
MODELS = ("Sequential", "Functional", "Model")


class Part:
    """One layer: its serialised options, and its arrays in Keras's order."""

    def __init__(self, serialized: Any, weights: list[np.ndarray]) -> None:
        try:
            self.kind, self.options = serialized["class_name"], dict(serialized["config"])
            known = self.kind.isprintable() and 0 < len(self.kind) < 100
        except (KeyError, TypeError, ValueError, AttributeError):
            known = False
        if not known:
            raise ValueError("a layer has no valid class_name and config")
        self.module = serialized.get("module", "keras.layers")
        name = self.options.get("name")
        usable = isinstance(name, str) and name.isprintable() and len(name) < 100
        self.name = str(name) if usable else self.kind
        self.weights = weights

    @property
    def custom(self) -> bool:
        """Whether its class is not one of Keras, so that it may compute anything."""
        module = self.module
        return not isinstance(module, str) or module.partition(".")[0] not in names.PACKAGES

    @property
    def time_major(self) -> bool:
        """Whether its inputs are time-major, as layers of Keras 2 can be."""
        inner = self.options.get("layer")
        own = Part(inner, []) if self.kind == "Bidirectional" else self
        return own.options.get("time_major") is True

    @property
    def is_lstm(self) -> bool:
        """Whether it is an LSTM by the names of its class and of the classes within it."""
        try:
            if self.kind == "Bidirectional":
                return Part(self.options.get("layer"), []).is_lstm
            if self.kind == "RNN":
                return Part(self.options.get("cell"), []).is_lstm
            if self.kind == "StackedRNNCells":
                return all(Part(cell, []).is_lstm for cell in self.options["cells"])
        except (ValueError, KeyError, TypeError):
            return True  # `require_lstm` or the conversion says what is wrong with it
        return self.kind in LSTMS

    @property
    def described(self) -> str:
        """Its class, and the classes of the layers or cells within it."""
        inner = [self.options.get(name) for name in ("layer", "cell")]
        cells = self.options.get("cells")
        inner += cells if isinstance(cells, list) else []
        try:
            kinds = dict.fromkeys(Part(part, []).described for part in inner if part is not None)
        except ValueError:
            kinds = {}
        own = f"custom class {self.kind}" if self.custom else self.kind
        return f"{own} of {' and '.join(kinds)}" if kinds else own

    def require_lstm(self) -> None:
        """ValueError if it is not an LSTM of Keras."""
        if self.custom:
            raise ValueError(
                f"{self.kind} is a custom class (module {ascii(self.module)[:99]}) and may compute "
                "anything; expected a layer of Keras: copy the weights into one"
            )
        if not self.is_lstm:
            raise ValueError(f"{self.name} is a {self.described}, not an LSTM")
