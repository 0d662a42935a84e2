"""Reads ONNX files, leaving large arrays in the file until they are used.

onnx.load would hold the bytes of the file and a second copy of its arrays in memory.
"""

import os
from typing import Any

import numpy as np

from jlstm.interop import needs, protobuf
from jlstm.interop.protobuf import Field

# Field numbers of onnx.proto.
_GRAPH, _INITIALIZER, _NAME, _RAW_DATA = 7, 5, 8, 9
_LARGE = 1 << 20  # bytes; smaller arrays are parsed with the model
_MOST = 100_000  # fields per message that are parsed here
_MOST_NODES = 200_000  # nodes, constants and values; real models have some thousands


class _ManyFieldsError(Exception):
    """A message has more than _MOST fields."""


def read(path: str | os.PathLike) -> tuple[Any, dict[str, np.ndarray]]:
    """The model without its large arrays, and the bytes of those arrays by name.

    External data is not read.

    Raises:
      ValueError: the file cannot be read, is truncated, or is not an ONNX model.
    """
    onnx = needs.module("onnx")
    decode_error = needs.module("google.protobuf.message").DecodeError
    large: dict[str, np.ndarray] = {}
    try:
        size = os.path.getsize(path)
        if size == 0:
            raise ValueError("it is empty")
        rest = None
        if size >= 4 * _LARGE:
            data = np.memmap(path, np.uint8, "r").data
            rest = _without_large(data, 0, size, (_GRAPH, _INITIALIZER), large)
    except _ManyFieldsError:
        large = {}
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except (IndexError, ValueError) as error:
        cut = "it is cut off" if isinstance(error, IndexError) else error
        raise ValueError(f"{path} is not a whole ONNX model: {cut}") from None
    try:
        if rest is not None:
            return onnx.ModelProto.FromString(rest), large
        return onnx.load(path, load_external_data=False), {}
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except (decode_error, ValueError) as error:
        raise ValueError(f"{path} is not a whole ONNX model: {error}") from None


def require_bounded(graph: Any) -> None:
    """ValueError if the graph has more nodes and values than any network of LSTMs."""
    size = len(graph.node) + len(graph.initializer) + len(graph.input)
    if size <= _MOST_NODES:
        size += sum(len(n.input) + len(n.output) + len(n.attribute) for n in graph.node)
    if size > _MOST_NODES:
        raise ValueError(
            f"the model has more than {_MOST_NODES} nodes, arrays and values; expected at most "
            "that many, as a network of LSTMs has"
        )


def _without_large(
    data: memoryview, at: int, end: int, way: tuple[int, ...], large: dict[str, np.ndarray]
) -> bytes:
    """A message's bytes without the raw data of the large tensors at the field path `way`."""
    made = []
    for n, field in enumerate(protobuf.fields(data, at, end)):
        if n == _MOST:
            raise _ManyFieldsError
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
    for n, part in enumerate(protobuf.fields(data, field.at, field.end)):
        if n == _MOST:
            raise _ManyFieldsError
        if part.number == _RAW_DATA and part.end - part.at >= _LARGE:
            raw = data[part.at : part.end]
            continue
        if part.number == _NAME and part.kind == protobuf.BYTES:
            name = data[part.at : part.end].tobytes().decode()
        kept.append(data[part.begin : part.end])
    if raw is not None:
        large[name] = np.frombuffer(raw, np.uint8)
    return b"".join(kept)
