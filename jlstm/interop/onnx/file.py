"""Reads ONNX files, leaving large arrays in the file until they are used.

onnx.load would hold the bytes of the file and a second copy of its arrays in memory.
"""

import os
from typing import Any

import numpy as np

from jlstm.files import contents, regular
from jlstm.interop import needs, protobuf
from jlstm.interop.onnx import wire
from jlstm.interop.protobuf import Field

# Field numbers of onnx.proto.
_GRAPH, _INITIALIZER, _NAME, _RAW_DATA = 7, 5, 8, 9
_LARGE = 1 << 20  # bytes; smaller arrays are parsed with the model
_MOST_NODES = 10_000  # real models of LSTMs have some thousand
_MOST = 200_000  # constants and values


def read(path: str | os.PathLike) -> tuple[Any, dict[str, np.ndarray]]:
    """The model without its large arrays, and the bytes of those arrays by name.

    External data is not read.

    Raises:
      ValueError: the file cannot be read, is truncated, or is not an ONNX model.
    """
    onnx = needs.module("onnx")
    decode_error = needs.module("google.protobuf.message").DecodeError
    large: dict[str, np.ndarray] = {}
    kind = onnx.ModelProto
    contents.require(path, "a whole ONNX model", "onnx")
    try:
        regular.require(path)
        size = os.path.getsize(path)
        if size == 0:
            raise ValueError("it is empty")
        data = np.memmap(path, np.uint8, "r").data
        wire.require_bounded(data, kind.DESCRIPTOR)
        rest = data
        if size >= 4 * _LARGE:
            rest = _without_large(data, 0, size, (_GRAPH, _INITIALIZER), large)
        return kind.FromString(bytes(rest)), large
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except (decode_error, IndexError, ValueError) as error:
        cut = "it is cut off" if isinstance(error, IndexError) else error
        raise ValueError(f"{path} is not a whole ONNX model: {cut}") from None


def require_bounded(graph: Any) -> None:
    """ValueError if the graph has more nodes and values than any network of LSTMs."""
    if len(graph.node) > _MOST_NODES:
        raise ValueError(
            f"the model has {len(graph.node)} nodes; expected at most {_MOST_NODES}, as a network "
            "of LSTMs has"
        )
    size = len(graph.initializer) + len(graph.input)
    size += sum(len(n.input) + len(n.output) + len(n.attribute) for n in graph.node)
    if size > _MOST:
        raise ValueError(
            f"the model has more than {_MOST} arrays and values; expected at most that many, as a "
            "network of LSTMs has"
        )


def _without_large(
    data: memoryview, at: int, end: int, way: tuple[int, ...], large: dict[str, np.ndarray]
) -> bytes:
    """A message's bytes without the raw data of the large tensors at the field path `way`."""
    made = []
    for field in protobuf.fields(data, at, end):
        if not way or field.number != way[0] or field.kind != protobuf.BYTES:
            made.append(data[field.begin : field.end])
        elif len(way) > 1:
            inner = _without_large(data, field.at, field.end, way[1:], large)
            made.append(protobuf.as_bytes(field.number, inner))
        elif field.end - field.at < _LARGE:
            made.append(data[field.begin : field.end])
        else:
            made.append(protobuf.as_bytes(field.number, _tensor(data, field, large)))
    return b"".join(made)


def _tensor(data: memoryview, field: Field, large: dict[str, np.ndarray]) -> bytes:
    kept, raw, name = [], None, ""
    for part in protobuf.fields(data, field.at, field.end):
        if part.number == _RAW_DATA and part.end - part.at >= _LARGE:
            raw = data[part.at : part.end]
            continue
        if part.number == _NAME and part.kind == protobuf.BYTES:
            name = data[part.at : part.end].tobytes().decode()
        kept.append(data[part.begin : part.end])
    if raw is not None:
        large[name] = np.frombuffer(raw, np.uint8)
    return b"".join(kept)
