"""What the nodes of a graph make of an LSTM's outputs."""

import heapq
from collections.abc import Iterator

import numpy as np

from jlstm.interop.onnx import joining
from jlstm.interop.onnx.evaluation import Value
from jlstm.interop.onnx.graph import Graph
from jlstm.interop.onnx.joining import Joined
from jlstm.interop.onnx.level import input_of, outputs_of
from jlstm.interop.onnx.node import Lstm


def output_of(graph: Graph, lstms: tuple[Lstm, ...]) -> tuple[str, Joined]:
    """The name of the last value that is the whole output of a layer, and how it is joined.

    The model's outputs take precedence, then values that a node reads. Directions that stay apart
    count only as an output of the model: elsewhere they are on their way to be joined.
    """
    best, name, gives = -1, lstms[-1].output, Joined()
    for other, values in _downstream(graph, lstms):
        found = complete(graph, lstms, values)
        use = 2 if other in graph.outputs else int(other in graph.consumers)
        if found and use >= best and (found.merge != "none" or use == 2):
            best, name, gives = use, other, found
    return name, gives


def partner_of(graph: Graph, lstm: Lstm) -> Lstm | None:
    """The forward node that makes one bidirectional layer with a reverse node, if there is one."""
    if lstm.direction != "reverse":
        return None
    for _, values in _downstream(graph, (lstm,)):
        for number in values[0].sources[:2]:
            other = graph.lstms[number]
            fits = other.direction == "forward" and _read_the_same(graph, other, lstm)
            if fits and complete(graph, (other, lstm), values):
                return other
    return None


def complete(graph: Graph, lstms: tuple[Lstm, ...], values: list[Value]) -> Joined | None:
    """How a value is joined if it is the whole output of a layer, whatever the sizes; else None."""
    found = []
    for evaluation, value in zip(graph.evaluations, values, strict=True):
        ys, xs = outputs_of(evaluation, lstms), input_of(evaluation, lstms[0])
        if ys is None or xs is None or value.array is None:
            return None
        found.append(joining.complete(value.array, ys, xs))
    return found[0] if all(own == found[0] for own in found) else None


def _read_the_same(graph: Graph, one: Lstm, other: Lstm) -> bool:
    for evaluation in graph.evaluations:
        xs, others = input_of(evaluation, one), input_of(evaluation, other)
        if xs is None or others is None or not np.array_equal(xs, others):
            return False
    return True


def _downstream(graph: Graph, lstms: tuple[Lstm, ...]) -> Iterator[tuple[str, list[Value]]]:
    """The outputs of `lstms` and the values computed from them, as far as numbers are known."""
    numbers = {graph.numbers[id(lstm)] for lstm in lstms}
    names = [lstm.output for lstm in lstms if lstm.output]
    waiting, done = [], set()
    while True:
        for name in names:
            values = graph.values(name)
            known = all(value.computed and value.array is not None for value in values)
            if known and numbers & set(values[0].sources[:2]):
                yield name, values
                for reader in graph.consumers.get(name, ()):
                    if reader not in done and graph.nodes[reader].op_type != "LSTM":
                        done.add(reader)
                        heapq.heappush(waiting, reader)
        if not waiting:
            return
        names = [name for name in graph.nodes[heapq.heappop(waiting)].output if name]
