"""What one node of an ONNX graph says: its attributes, and an LSTM node's inputs."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from jlstm import validation

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
DIRECTIONS = ("forward", "reverse", "bidirectional")
# What ONNX's LSTM knows, and of which type each is; the oldest version has output_sequence.
_ATTRIBUTES = {
    **dict.fromkeys(("hidden_size", "input_forget", "layout", "output_sequence"), "INT"),
    **dict.fromkeys(("activation_alpha", "activation_beta"), "FLOATS"),
    **{"activations": "STRINGS", "clip": "FLOAT", "direction": "STRING"},
}


def shown(text: str | bytes) -> str:
    """Text of a file as it may be printed: short, and without control characters.

    Of text that is no UTF-8, protobuf gives the bytes.
    """
    short = text if len(text) <= 80 else text[:80]
    plain = isinstance(short, str) and short.isprintable()
    return f"{short if plain else repr(short)}{'...' if short != text else ''}"


def attributes(onnx: Any, node: Any) -> dict[str, tuple[str, Any]]:
    """A node's attributes by name, each with the name of its type; text is decoded.

    Raises:
      ValueError: one without a type, or two of one name.
    """
    made: dict[str, tuple[str, Any]] = {}
    for attribute in node.attribute:
        if attribute.name in made:
            raise ValueError(f"a node has the attribute {attribute.name!r:.80} twice")
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode(errors="backslashreplace")
        elif not isinstance(value, (int, float)) and hasattr(value, "__iter__"):
            texts = (
                a.decode(errors="backslashreplace") if isinstance(a, bytes) else a for a in value
            )
            value = list(texts)
        made[attribute.name] = onnx.AttributeProto.AttributeType.Name(attribute.type), value
    return made


class Lstm:
    """One LSTM node: its attributes, its constants, and what is around it.

    `array_of` gives the constant of a name, or None. Set by the graph: `reads`, the value that the
    node reads; `root`, the number of the lowest LSTM of its chain; `cut`, why it stands upon no
    other LSTM though it reads what one made; `starts`, the LSTMs that its initial states come from.

    Raises:
      ValueError: attributes that ONNX's LSTM lacks, or with values that it does not take.
    """

    reads: Any
    root: int
    cut: str = ""

    def __init__(self, onnx: Any, node: Any, array_of: Callable[[str], np.ndarray | None]) -> None:
        self.name = node.name or (node.output[0] if node.output else "LSTM")
        self.title = shown(self.name)
        self.starts: dict[str, Lstm] = {}
        self._array_of = array_of
        if not node.input or not node.input[0]:
            raise ValueError(f"the LSTM node {self.title} has no inputs; expected X, W and R")
        if len(node.input) > len(INPUTS):
            raise ValueError(f"{self.title} has {len(node.input)} inputs; an LSTM has 8 at most")
        names = [*node.input, *[""] * len(INPUTS)]
        self.inputs: dict[str, str] = dict(zip(INPUTS, names, strict=False))
        self._attributes: dict[str, Any] = {}
        for name, (kind, value) in attributes(onnx, node).items():
            expected = _ATTRIBUTES.get(name)
            if expected is None:
                raise ValueError(
                    f"{self.title} has the attribute {name!r:.80}, which ONNX's LSTM lacks; it has "
                    f"{sorted(_ATTRIBUTES)}"
                )
            if kind != expected:
                raise ValueError(
                    f"{self.title}: {name} is {value!r:.80}, of type {kind}; expected {expected}"
                )
            self._attributes[name] = value
        validation.known_name(f"{self.title}: direction", self.direction[:80], DIRECTIONS)
        for name in ("layout", "input_forget"):
            if self.attribute(name, 0) not in (0, 1):
                raise ValueError(
                    f"{self.title}: {name} is {self.attribute(name, 0)}; expected 0 or 1"
                )

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute's value, of the type that ONNX says."""
        return self._attributes.get(name, default)

    @property
    def direction(self) -> str:
        """One of DIRECTIONS."""
        return self.attribute("direction", "forward")

    @property
    def both(self) -> bool:
        """Whether it runs both ways."""
        return self.direction == "bidirectional"

    @property
    def batch_first(self) -> bool:
        """Whether its arrays have the batch before time and before directions: layout=1."""
        return self.attribute("layout", 0) == 1

    @property
    def x_axes(self) -> tuple[str, str, str]:
        """Time, batch and features, in the order in which it reads them."""
        return ("B", "T", "F") if self.batch_first else ("T", "B", "F")

    @property
    def y_axes(self) -> tuple[str, str, str, str]:
        """The axes of its output Y, directions being D and units H."""
        return ("B", "T", "D", "H") if self.batch_first else ("T", "D", "B", "H")

    @functools.cached_property
    def units(self) -> int:
        """Units of each direction, which the last axis of R and hidden_size agree on."""
        found = self.required("R").shape[-1]
        said = self.attribute("hidden_size", found)
        if said != found:
            raise ValueError(
                f"{self.title}: hidden_size is {said}, but R has {found} units; expected the same"
            )
        return found

    def array(self, name: str) -> np.ndarray | None:
        """A constant input, or None if the node lacks it.

        Raises:
          ValueError: it is no constant.
        """
        if not self.inputs[name]:
            return None
        found = self._array_of(self.inputs[name])
        if found is None:
            raise ValueError(
                f"{self.title}: {name} is computed by the model; expected a constant: fold "
                "constants when the model is exported"
            )
        return found

    def required(self, name: str) -> np.ndarray:
        """The same of an input that every LSTM has, of three axes."""
        found = self.array(name)
        if found is None or found.ndim != 3:
            shape = "missing" if found is None else list(found.shape)
            raise ValueError(f"{self.title}: {name} is {shape}; expected three axes [D, 4H, ..]")
        return found

    def state(self, name: str) -> np.ndarray | None:
        """A constant initial state [D, B, H], or None if the model computes it or is given it."""
        found = self._array_of(self.inputs[name])
        if found is None:
            return None
        if found.ndim == 3 and self.batch_first:
            found = found.swapaxes(0, 1)
        lead = 2 if self.both else 1
        if found.ndim != 3 or found.shape[::2] != (lead, self.units) or found.shape[1] < 1:
            raise ValueError(
                f"{self.title}: {name} is {list(found.shape)}"
                f"{' with its first two axes swapped' if self.batch_first else ''}; expected "
                f"[{lead}, B, {self.units}] with a B of at least 1"
            )
        return found
