"""One node of an ONNX graph: its attributes, and the inputs of an LSTM node."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from jlstm import validation

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
DIRECTIONS = ("forward", "reverse", "bidirectional")
_MOST_UNITS = 1 << 24
Kind = tuple[tuple[int, ...], np.dtype]  # shape and dtype of an array
# The attributes of ONNX's LSTM and their types. Only the oldest version has output_sequence.
_ATTRIBUTES = {
    **dict.fromkeys(("hidden_size", "input_forget", "layout", "output_sequence"), "INT"),
    **dict.fromkeys(("activation_alpha", "activation_beta"), "FLOATS"),
    **{"activations": "STRINGS", "clip": "FLOAT", "direction": "STRING"},
}


def shown(text: str | bytes) -> str:
    """Text from a file in printable form: shortened, control characters escaped.

    protobuf returns text that is not UTF-8 as bytes.
    """
    short = text if len(text) <= 80 else text[:80]
    plain = isinstance(short, str) and short.isprintable()
    return f"{short if plain else repr(short)}{'...' if short != text else ''}"


def attributes(onnx: Any, node: Any) -> dict[str, tuple[str, Any]]:
    """A node's attributes by name, each as (name of its type, value). Text is decoded.

    Raises:
      ValueError: an attribute has no type, or two have the same name.
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
    """One LSTM node: its attributes and its constants.

    Args:
      node: the node.
      array_of: returns the array of a constant, or None for other values.
      kind_of: returns shape and dtype of a constant without reading it, or None.

    Raises:
      ValueError: ONNX's LSTM does not have an attribute, or not with that type or value.
    """

    def __init__(
        self,
        onnx: Any,
        node: Any,
        array_of: Callable[[str], np.ndarray | None],
        kind_of: Callable[[str], Kind | None],
    ) -> None:
        self.name = node.name or (node.output[0] if node.output else "LSTM")
        self.title = shown(self.name)
        self.output = node.output[0] if node.output else ""
        self._array_of, self._kind_of = array_of, kind_of
        if not node.input or not node.input[0]:
            raise ValueError(f"the LSTM node {self.title} has no inputs; expected X, W and R")
        if len(node.input) > len(INPUTS):
            raise ValueError(f"{self.title} has {len(node.input)} inputs; expected at most 8")
        names = [*node.input, *[""] * len(INPUTS)]
        self.inputs: dict[str, str] = dict(zip(INPUTS, names, strict=False))
        self._attributes: dict[str, Any] = {}
        for name, (kind, value) in attributes(onnx, node).items():
            expected = _ATTRIBUTES.get(name)
            if expected is None:
                raise ValueError(
                    f"{self.title} has the attribute {name!r:.80}, which is not one of ONNX's "
                    f"LSTM; expected some of {sorted(_ATTRIBUTES)}"
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
        """An attribute's value, or the default."""
        return self._attributes.get(name, default)

    @property
    def direction(self) -> str:
        """One of DIRECTIONS."""
        return self.attribute("direction", "forward")

    @property
    def both(self) -> bool:
        """Whether the node is bidirectional."""
        return self.direction == "bidirectional"

    @property
    def batch_first(self) -> bool:
        """Whether the batch comes first in its arrays, before time and directions (layout=1)."""
        return self.attribute("layout", 0) == 1

    @property
    def x_axes(self) -> tuple[str, str, str]:
        """The axes of its input X: time T, batch B and features F."""
        return ("B", "T", "F") if self.batch_first else ("T", "B", "F")

    @property
    def y_axes(self) -> tuple[str, str, str, str]:
        """The axes of its output Y: time T, batch B, directions D and units H."""
        return ("B", "T", "D", "H") if self.batch_first else ("T", "D", "B", "H")

    @property
    def sizes(self) -> tuple[int | None, int | None, np.dtype]:
        """The sizes of its input and of one direction, None if not known, and the dtype of both."""
        w, r = (self._kind(name) for name in ("W", "R"))
        inputs = w[0][-1] if w and w[0] else None
        units = self.attribute("hidden_size", r[0][-1] if r and r[0] else 0)
        dtype = w[1] if w and w[1].kind == "f" else np.dtype("float32")
        return inputs, units if 0 < units < _MOST_UNITS else None, dtype

    @functools.cached_property
    def units(self) -> int:
        """The units per direction: the last axis of R, which hidden_size must equal."""
        found = self.required("R").shape[-1]
        said = self.attribute("hidden_size", found)
        if said != found:
            raise ValueError(
                f"{self.title}: hidden_size is {said}, but R has {found} units; expected the same"
            )
        return found

    def array(self, name: str) -> np.ndarray | None:
        """The constant input `name`, or None if the node does not have that input.

        Raises:
          ValueError: the input is not constant.
        """
        if not self.inputs[name]:
            return None
        found = self._array_of(self.inputs[name])
        if found is None:
            raise ValueError(
                f"{self.title}: {name} is computed by the model, not from constants alone, or not "
                "by nodes that fit each other; expected a constant: check that the model runs, "
                "and export it with constant folding"
            )
        return found

    def required(self, name: str) -> np.ndarray:
        """The constant input `name`, which must be present and have three axes."""
        found = self.array(name)
        if found is None or found.ndim != 3:
            shape = "missing" if found is None else list(found.shape)
            raise ValueError(f"{self.title}: {name} is {shape}; expected three axes [D, 4H, ..]")
        return found

    def _kind(self, name: str) -> Kind | None:
        """Shape and dtype of a constant input; None if it is not constant or cannot be read."""
        kind = self._kind_of(self.inputs[name])
        if kind:
            return kind
        try:
            found = self._array_of(self.inputs[name]) if self.inputs[name] else None
        except ValueError:
            return None
        return None if found is None else (found.shape, found.dtype)
