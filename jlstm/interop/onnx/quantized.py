"""ONNX Runtime's DynamicQuantizeLSTM as an LSTM node with float weights, and its int8 weights.

Such a node holds W as [D, I, 4H] and R as [D, H, 4H] in int8 or uint8, with a scale and a zero
point for each direction, [D], or for each of its columns, [D, 4H]. Its gate order is i, o, f, g.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jlstm.config import Layer
from jlstm.interop.onnx.node import Kind
from jlstm.interop.sides import join, split
from jlstm.params import LayerParams
from jlstm.quantized import Quantized, is_quantized

DOMAIN, KIND = "com.microsoft", "DynamicQuantizeLSTM"
_INPUTS = 8  # the inputs that LSTM has; scales and zero points follow
_WEIGHTS = {1: 8, 2: 10}  # number of the input W or R: that of its scale; the zero point is next
_ORDER = "iofg"  # order of the gates

# Returns the array of a constant, or None for other values.
Arrays = Callable[[str], np.ndarray | None]
# The values [I, 4H] or [H, 4H] of one direction, and their scale [4H], in our gate order.
Matrix = tuple[np.ndarray, np.ndarray]


def as_lstm(onnx: Any, node: Any) -> Any:
    """The LSTM node that a DynamicQuantizeLSTM node becomes if its weights are float."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.op_type, made.domain = "LSTM", ""
    del made.input[_INPUTS:]
    return made


def dequantized(node: Any, array_of: Arrays) -> Arrays:
    """`array_of` for the LSTM node of `as_lstm`: W [D, 4H, I] and R [D, 4H, H] become float32."""
    names = _names(node)

    def array(name: str) -> np.ndarray | None:
        places = [place for place in _WEIGHTS if names[place] == name]
        if not places:
            return array_of(name)
        if (found := _stored(node, places[0], array_of)) is None:
            return None
        values, scale, zero = found
        return ((values - zero.astype("f4")) * scale).swapaxes(1, 2)

    return array


def matrices(node: Any, array_of: Arrays) -> list[tuple[Matrix, Matrix]] | None:
    """w_x and w_h of each direction. None if int8 with the zero point 0 cannot hold them."""
    made = []
    for place in _WEIGHTS:
        found = _stored(node, place, array_of)
        if found is None or found[0].dtype not in (np.int8, np.uint8):
            return None
        values, scale, zero = found
        moved = values.astype("int16") - zero.astype("int16")
        if moved.min(initial=0) < -128 or moved.max(initial=0) > 127:
            return None
        scale = np.broadcast_to(scale[:, 0], (len(values), values.shape[-1])).astype("float32")
        sides = zip(moved.astype("int8"), scale, strict=True)
        made.append([(_ours(v), _ours(s)) for v, s in sides])
    return list(zip(*made, strict=True))


def with_matrices(
    layer: Layer, params: LayerParams, sides: Sequence[tuple[Matrix, Matrix]]
) -> LayerParams:
    """The parameters of a layer with the int8 matrices of its directions in place of floats."""

    def matrix(which: int) -> Quantized:
        parts = (np.stack([side[which][part] for side in sides]) for part in (0, 1))
        return Quantized(*(jnp.asarray(a if layer.bidirectional else a[0]) for a in parts))

    return params._replace(w_x=matrix(0), w_h=matrix(1))


def arrays_of(params: LayerParams) -> dict[str, np.ndarray]:
    """The inputs W and R of a layer with int8 matrices, with their scales and zero points.

    Empty for a layer with float matrices.

    Raises:
      ValueError: one of the two matrices is int8, the other is not.
    """
    given = {"W": params.w_x, "R": params.w_h}
    kinds = {name: is_quantized(a) for name, a in given.items()}
    if not any(kinds.values()):
        return {}
    if not all(kinds.values()):
        raise ValueError(
            f"w_x is {'int8' if kinds['W'] else 'float'}, but w_h is not; {KIND} needs both in "
            "int8. Pass the result of jlstm.quantize(config, params) for int8, or of "
            "jlstm.dequantize(config, params) for float32"
        )
    made = {}
    for name, matrix in given.items():
        values, scale = (np.asarray(a) for a in matrix)
        if values.ndim == 2:
            values, scale = values[None], scale[None]
        made[name], made[f"{name}_scale"] = (join(split(a), _ORDER) for a in (values, scale))
        made[f"{name}_zero"] = np.zeros_like(scale, np.int8)
    return made


def kinds(node: Any, kind_of: Callable[[str], Kind | None]) -> Callable[[str], Kind | None]:
    """`kind_of` for the LSTM node of `as_lstm`."""

    def kind(name: str) -> Kind | None:
        found = kind_of(name)
        if name not in node.input[1:3] or found is None:
            return found
        shape = found[0]
        return (*shape[:-2], *shape[:-3:-1]), np.dtype("float32")

    return kind


def _names(node: Any) -> list[str]:
    return [*node.input, *[""] * (_INPUTS + 4)]


def _ours(array: np.ndarray) -> np.ndarray:
    return join(split(array, _ORDER))


def _stored(
    node: Any, place: int, array_of: Arrays
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The values [D, I, 4H] of W or R, their scale and zero point, [D, 1, 4H] or [D, 1, 1]."""
    names, at = _names(node), _WEIGHTS[place]
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
    return values, scale, zero


def _fits(part: np.ndarray, values: np.ndarray) -> bool:
    lead, _, columns = values.shape
    return part.shape in ((lead,), (lead, columns), (lead, 1))
