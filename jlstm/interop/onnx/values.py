"""Follows values through the nodes between LSTMs, as long as they fit a stack."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_MERGES = {"ReduceSum": "sum", "ReduceMean": "average", "ReduceProd": "mul"}
_LAST = ("D", "H")
# The supported operators and their supported attributes.
KNOWN: dict[str, set[str]] = {
    "Add": set(),
    "Cast": {"to", "saturate"},
    "Concat": {"axis"},
    "Dropout": {"ratio", "seed"},
    "Identity": set(),
    "ReduceMean": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceProd": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceSum": {"axes", "keepdims", "noop_with_empty_axes"},
    "Reshape": {"allowzero"},
    "Squeeze": {"axes"},
    "Transpose": {"perm"},
}
# Bits of float32, float16, float64 and bfloat16, by their numbers in onnx.TensorProto.
_BITS = {1: 32, 10: 16, 11: 64, 16: 16}


class Value(NamedTuple):
    """What is known of a value that comes from an LSTM or from the network's input.

    `origin` is the number of the LSTM, or the name of the input. For an LSTM's output, `axes` names
    the axes: time T, batch B, directions D, units H, and features F of a layer's output. For an
    input, `axes` numbers the input's axes in their current order. After an operator that no stack
    has, `axes` is None and `through` is the operator.
    """

    origin: int | str
    axes: tuple[Any, ...] | None
    merge: str | None = None
    residual: bool = False
    skip: bool = False
    through: str = ""


def of_input(name: str) -> Value:
    """An input with its three axes in their original order."""
    return Value(name, (0, 1, 2))


class Operator(NamedTuple):
    """A node between LSTMs: its kind, attributes with their types, and its constant inputs."""

    kind: str
    attributes: dict[str, tuple[str, Any]]
    constant: Callable[[int], np.ndarray | None]

    @property
    def known(self) -> bool:
        """Whether the operator and all its attributes are supported."""
        return self.attributes.keys() <= KNOWN.get(self.kind, set()) and self.kind in KNOWN

    def number(self, name: str, default: int) -> int | None:
        """An integer attribute, or None if its type differs."""
        kind, value = self.attributes.get(name, ("INT", default))
        return value if kind == "INT" else None

    def numbers(self, name: str, at: int | None = None) -> list[int] | None:
        """A list of integers: an attribute or, in newer ONNX versions, the constant input `at`."""
        if name in self.attributes:
            kind, value = self.attributes[name]
            return list(value) if kind == "INTS" else None
        found = None if at is None else self.constant(at)
        if found is None or found.dtype.kind not in "iu" or found.ndim > 1 or found.size > 8:
            return None
        return [int(a) for a in found.reshape(-1)]


def passed(operator: Operator, value: Value, both: bool, dtype: int) -> Value | None:
    """The output of an operator with one non-constant input; None if it no longer fits a stack.

    `both` says whether the value's LSTM is bidirectional. `dtype` is ONNX's number for the type of
    its weights.
    """
    if value.axes is None or not operator.known:
        return None
    match operator.kind:
        case "Identity":
            return value
        case "Dropout":
            return (
                None if operator.constant(2) is not None and np.any(operator.constant(2)) else value
            )
        case "Cast":
            return value if _keeps(dtype, operator.number("to", 0)) else None
        case "Transpose":
            return _transposed(operator, value, both)
        case "Squeeze" | "ReduceSum" | "ReduceMean" | "ReduceProd":
            return _without_directions(operator, value, both)
        case "Reshape":
            return _joined(operator, value, both)
    return None


def beside_input(operator: Operator, value: Value) -> Value | None:
    """The value after the network's input was concatenated to its features."""
    axes = value.axes or ()
    axis = operator.number("axis", len(axes))
    if not operator.known or "F" not in axes or value.skip or axis is None:
        return None
    at = axis + len(axes) * (axis < 0)
    return value._replace(skip=True) if at == axes.index("F") else None


def _keeps(dtype: int, to: int | None) -> bool:
    """Whether a cast from `dtype` to `to` keeps every value."""
    return to in _BITS and (dtype == to or _BITS.get(dtype, 99) < _BITS[to])


def _transposed(operator: Operator, value: Value, both: bool) -> Value | None:
    axes = value.axes or ()
    perm = operator.numbers("perm") if operator.attributes else list(range(len(axes)))[::-1]
    if perm is None or sorted(perm) != list(range(len(axes))):
        return None
    axes = tuple(axes[n] for n in perm)
    merge = "none" if both and axes[-2:] == _LAST else value.merge
    return value._replace(axes=axes, merge=merge)


def _without_directions(operator: Operator, value: Value, both: bool) -> Value | None:
    """The value after its directions were squeezed, summed, averaged or multiplied."""
    axes, given = value.axes or (), operator.numbers("axes", 1)
    if "D" not in axes or given is None or len(given) != 1:
        return None
    merges = operator.kind in _MERGES
    if given[0] not in (axes.index("D"), axes.index("D") - len(axes)) or merges != both:
        return None
    if merges and operator.number("keepdims", 1) != 0:
        return None
    left = tuple("F" if axis == "H" else axis for axis in axes if axis != "D")
    return value._replace(axes=left, merge=_MERGES.get(operator.kind))


def _joined(operator: Operator, value: Value, both: bool) -> Value | None:
    """The value after a reshape that joins its last two axes, directions and units.

    The shape must be [0, 0, n]. A zero keeps an axis; any other number there could mix time and
    batch.
    """
    axes, shape = value.axes or (), operator.numbers("shape", 1)
    if len(axes) != 4 or axes[-2:] != _LAST or shape is None or len(shape) != 3:
        return None
    if operator.number("allowzero", 0) != 0 or shape[:2] != [0, 0] or shape[2] == 0:
        return None
    return value._replace(axes=(*axes[:2], "F"), merge="concat" if both else None)
