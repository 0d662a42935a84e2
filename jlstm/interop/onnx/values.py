"""What nodes between LSTMs make of a value, where it stays the same network's."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_MERGES = {"ReduceSum": "sum", "ReduceMean": "average", "ReduceProd": "mul"}
_LAST = ("D", "H")
# The attributes of operators that are followed; one with others is not.
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
    """What is known of a value that came from an LSTM, or from a network's input.

    `origin` is the number of the LSTM, or the name of the input. `axes` name the axes of an LSTM's
    output: time T, batch B, directions D, units H, and F, the features of a layer's output; of an
    input, they number its axes, in the order in which they now stand. They are None after what no
    stack has, and then `through` is the operator that did it.
    """

    origin: int | str
    axes: tuple[Any, ...] | None
    merge: str | None = None
    residual: bool = False
    skip: bool = False
    through: str = ""


def of_input(name: str) -> Value:
    """An input, whose three axes stand as they are."""
    return Value(name, (0, 1, 2))


class Operator(NamedTuple):
    """A node between LSTMs: its kind, attributes with their types, and its constant inputs."""

    kind: str
    attributes: dict[str, tuple[str, Any]]
    constant: Callable[[int], np.ndarray | None]

    @property
    def known(self) -> bool:
        """Whether it is one that can be followed, with attributes that it has."""
        return self.attributes.keys() <= KNOWN.get(self.kind, set()) and self.kind in KNOWN

    def number(self, name: str, default: int) -> int | None:
        """A whole number, or None if it is something else."""
        kind, value = self.attributes.get(name, ("INT", default))
        return value if kind == "INT" else None

    def numbers(self, name: str, at: int | None = None) -> list[int] | None:
        """Whole numbers: an attribute, or the constant input `at`, where newer versions have it."""
        if name in self.attributes:
            kind, value = self.attributes[name]
            return list(value) if kind == "INTS" else None
        found = None if at is None else self.constant(at)
        if found is None or found.dtype.kind not in "iu" or found.ndim > 1 or found.size > 8:
            return None
        return [int(a) for a in found.reshape(-1)]


def passed(operator: Operator, value: Value, both: bool, dtype: int) -> Value | None:
    """The value after an operator with one input that is no constant; None where it is lost.

    `both` is whether the value's LSTM has two directions, `dtype` ONNX's number for the
    type of its weights.
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
    """The value after the network's input was put beside its features."""
    axes = value.axes or ()
    axis = operator.number("axis", len(axes))
    if not operator.known or "F" not in axes or value.skip or axis is None:
        return None
    at = axis + len(axes) * (axis < 0)
    return value._replace(skip=True) if at == axes.index("F") else None


def _keeps(dtype: int, to: int | None) -> bool:
    """Whether a cast keeps numbers of that type as they are."""
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
    """After the axis of directions was left out, or summed, averaged or multiplied over."""
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
    """After directions and units, the last axes, became one: the shape is [0, 0, -1], or alike.

    A zero keeps an axis; any other number before the last could mix time and batch.
    """
    axes, shape = value.axes or (), operator.numbers("shape", 1)
    if len(axes) != 4 or axes[-2:] != _LAST or shape is None or len(shape) != 3:
        return None
    if operator.number("allowzero", 0) != 0 or shape[:2] != [0, 0] or shape[2] == 0:
        return None
    return value._replace(axes=(*axes[:2], "F"), merge="concat" if both else None)
