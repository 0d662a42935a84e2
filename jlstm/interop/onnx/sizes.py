"""Choices of the sizes that an ONNX model leaves free."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jlstm.interop import needs

_FREE = (4, 5, 6, 9)  # small, none a multiple of another, and each axis gets an even and an odd one


class Sizes:
    """The shapes of a model's inputs for one choice of its free sizes.

    Args:
      inputs: descriptions of the inputs (onnx.ValueInfoProto).
      choice: the sizes that free axes get in turn. Axes of one name get the same size.
    """

    def __init__(self, inputs: Iterable[Any], choice: Sequence[int]) -> None:
        self._onnx = needs.module("onnx")
        self._choice, self._named = choice, dict[str, int]()
        self._given = {value.name: value.type.tensor_type for value in inputs}

    @property
    def steps_and_batch(self) -> tuple[int, int]:
        """Sizes for the sequences of an LSTM whose input has no known shape."""
        return self._choice[-1], self._choice[len(self._choice) // 2]

    def shape(self, name: str) -> tuple[tuple[int, ...], np.dtype] | None:
        """Shape and dtype of an input; None if the model does not say how many axes it has."""
        kind = self._given.get(name)
        if kind is None or not kind.HasField("shape"):
            return None
        try:
            dtype = self._onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        except KeyError:
            return None
        axes = enumerate(kind.shape.dim)
        return tuple(self._size(f"{name}:{n}", axis) for n, axis in axes), np.dtype(dtype)

    def _size(self, place: str, axis: Any) -> int:
        if axis.dim_value > 0:
            return axis.dim_value
        key = axis.dim_param or place
        return self._named.setdefault(key, self._choice[len(self._named) % len(self._choice)])


def choices(inputs: Sequence[Any]) -> list[Sizes]:
    """Two choices of the free sizes. They grow from axis to axis in one, and fall in the other.

    Sizes that axes of the inputs have by the model are not among them. So neither a size nor an
    order of sizes is taken for another.
    """
    axes = [axis for value in inputs for axis in value.type.tensor_type.shape.dim]
    fixed = {axis.dim_value for axis in axes}
    free = [size for size in _FREE if size not in fixed] or list(_FREE)
    return [Sizes(inputs, choice) for choice in (free, free[::-1])]
