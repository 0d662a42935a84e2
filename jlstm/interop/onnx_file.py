"""ONNX files, whose large arrays stay in the file until they are used.

onnx itself keeps a file's bytes and, once more, its arrays.
"""

import os
from typing import Any

import numpy as np

from jlstm.interop import needs, protobuf
from jlstm.interop.protobuf import Field

# Numbers of fields in onnx.proto.
_GRAPH, _INITIALIZER, _NAME, _RAW_DATA = 7, 5, 8, 9
_LARGE = 1 << 20  # bytes; smaller arrays stay in the model


class Large:
    """The bytes of one large array, in the file."""

    def __init__(self, data: np.ndarray) -> None:
        self._data = data

    def array(self, tensor: Any) -> np.ndarray:
        """The array whose shape and number format a tensor without its data says.

        Raises:
          ValueError: its bytes are not as many as that.
        """
        onnx = needs.module("onnx")
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        shape, size = tuple(tensor.dims), dtype.itemsize
        for extent in shape:
            size *= extent
        if size != len(self._data):
            raise ValueError(f"it has shape {list(shape)}, but {len(self._data)} bytes")
        return self._data.view(dtype).reshape(shape)


def read(path: str | os.PathLike) -> tuple[Any, dict[str, Large]]:
    """A model without its large arrays, and these by name.

    Raises:
      ValueError, google.protobuf.message.DecodeError, onnx.checker.ValidationError: not a whole
        model, or one whose arrays lie outside its folder.
      OSError: the file cannot be read.
    """
    onnx = needs.module("onnx")
    size = os.path.getsize(path)
    if size < 4 * _LARGE:
        return onnx.load(path), {}
    data = np.memmap(path, np.uint8, "r")
    large: dict[str, Large] = {}
    try:
        rest = _without_large(data, 0, size, (_GRAPH, _INITIALIZER), large)
    except IndexError:
        raise ValueError("it is cut off") from None
    model = onnx.ModelProto.FromString(rest)
    onnx.external_data_helper.load_external_data_for_model(model, os.path.dirname(path) or ".")
    return model, large


def _without_large(
    data: np.ndarray, at: int, end: int, way: tuple[int, ...], large: dict[str, Large]
) -> bytes:
    """A message's bytes, without the raw data of large tensors on the way down through `way`."""
    made = []
    for field in protobuf.fields(data, at, end):
        if not way or field.number != way[0] or field.kind != protobuf.BYTES:
            made.append(data[field.begin : field.end].tobytes())
        elif len(way) > 1:
            inner = _without_large(data, field.at, field.end, way[1:], large)
            made.append(protobuf.as_bytes(field.number, inner))
        else:
            made.append(protobuf.as_bytes(field.number, _tensor(data, field, large)))
    return b"".join(made)


def _tensor(data: np.ndarray, field: Field, large: dict[str, Large]) -> bytes:
    kept, raw, name = [], None, ""
    for part in protobuf.fields(data, field.at, field.end):
        if part.number == _RAW_DATA and part.end - part.at >= _LARGE:
            raw = data[part.at : part.end]
            continue
        if part.number == _NAME and part.kind == protobuf.BYTES:
            name = data[part.at : part.end].tobytes().decode()
        kept.append(data[part.begin : part.end].tobytes())
    if raw is not None:
        large[name] = Large(raw)
    return b"".join(kept)
