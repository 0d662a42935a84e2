"""LSTM nodes within the bodies of other nodes, which no stack can hold."""

from collections.abc import Iterator
from typing import Any

from jlstm.interop.onnx.node import shown

_DEEPEST = 32  # bodies within bodies
_MOST = 9  # that a message lists


def lstms_of(model: Any) -> list[str]:
    """Where LSTM nodes stand outside the main graph: in If, Loop and Scan, and in functions."""
    found = []
    for place in _places(model):
        found.append(place)
        if len(found) == _MOST:
            break
    return found


def _places(model: Any) -> Iterator[str]:
    for node in model.graph.node:
        yield from _within(node, _DEEPEST)
    for function in model.functions:
        for node in function.node:
            if node.op_type == "LSTM":
                yield f"{_name(node)} in the function {shown(function.name)}"
            yield from _within(node, _DEEPEST)


def _within(node: Any, deepest: int) -> Iterator[str]:
    for attribute in node.attribute if deepest else ():
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            for inner in graph.node:
                if inner.op_type == "LSTM":
                    yield f"{_name(inner)} in a body of the {shown(node.op_type)} {_name(node)}"
                yield from _within(inner, deepest - 1)


def _name(node: Any) -> str:
    return shown(node.name or (node.output[0] if node.output else node.op_type))
