"""ONNX Runtime's DynamicQuantizeLSTM as an LSTM node with float weights."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jlstm.interop.onnx.node import Kind

DOMAIN, KIND = "com.microsoft", "DynamicQuantizeLSTM"
_INPUTS = 8  # the inputs that LSTM has; scales and zero points follow
_WEIGHTS = {1: 8, 2: 10}  # by the place of W and R: that of their scale; the zero point is next


def as_lstm(onnx: Any, node: Any) -> Any:
    """The LSTM node with the attributes of a DynamicQuantizeLSTM node."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.op_type, made.domain = "LSTM", ""
    del made.input[_INPUTS:]
    return made


def dequantized(
    node: Any, array_of: Callable[[str], np.ndarray | None]
) -> Callable[[str], np.ndarray | None]:
    """`array_of` for the LSTM node of `as_lstm`: W [D, 4H, I] and R [D, 4H, H] in float32.

    The node holds them as int8 or uint8, [D, I, 4H] and [D, H, 4H], with a scale and a zero point
    for each direction, [D], or for each of its columns, [D, 4H].
    """
    names = [*node.input, *[""] * (_INPUTS + 4)]

    def weight(place: int) -> np.ndarray | None:
        at = _WEIGHTS[place]
        values, scale, zero = (array_of(names[n]) for n in (place, at, at + 1))
        if values is None or scale is None:
            return None
        zero = np.zeros_like(scale) if zero is None else zero
        if values.ndim != 3 or not all(_fits(part, values) for part in (scale, zero)):
            raise ValueError(
                f"{names[place]!r:.80} is {list(values.shape)}, its scale {list(scale.shape)}; "
                "expected [D, I, 4H], and [D] or [D, 4H]"
            )
        scale, zero = (part.reshape(len(values), 1, -1) for part in (scale, zero))
        return ((values - zero.astype("f4")) * scale).swapaxes(1, 2)

    def array(name: str) -> np.ndarray | None:
        places = [place for place in _WEIGHTS if names[place] == name]
        return weight(places[0]) if places else array_of(name)

    return array


def kinds(node: Any, kind_of: Callable[[str], Kind | None]) -> Callable[[str], Kind | None]:
    """`kind_of` for the LSTM node of `as_lstm`."""

    def kind(name: str) -> Kind | None:
        found = kind_of(name)
        if name not in node.input[1:3] or found is None:
            return found
        shape = found[0]
        return (*shape[:-2], *shape[:-3:-1]), np.dtype("float32")

    return kind


def _fits(part: np.ndarray, values: np.ndarray) -> bool:
    lead, _, columns = values.shape
    return part.shape in ((lead,), (lead, columns), (lead, 1))
