"""An ONNX graph: its LSTM nodes, and the values of its other nodes."""

import os
from typing import Any

from jlstm.interop import needs
from jlstm.interop.onnx import bodies, file, quantized, sizes
from jlstm.interop.onnx.constants import Constants
from jlstm.interop.onnx.evaluation import Evaluation, Value
from jlstm.interop.onnx.generality import CONSTANT
from jlstm.interop.onnx.node import Lstm, attributes
from jlstm.interop.onnx.operators import Operators

_OWN = ("", "ai.onnx")  # the domains of the standard ONNX operators


class Graph:
    """The LSTM nodes of a model or file, and the values of its graph.

    `consumers` holds the numbers of the nodes that read each value, `makers` that of the node that
    computes it. `outputs` are the names of the model's outputs, `nested` the places of LSTMs in
    bodies of nodes, and `quantized` the DynamicQuantizeLSTM nodes by the id of their LSTM.

    Raises:
      ValueError: the file is truncated or not a model, or nodes are not in topological order.
    """

    def __init__(self, source: Any) -> None:
        self._onnx = needs.module("onnx")
        large, folder = {}, None
        if isinstance(source, (str, os.PathLike)):
            folder = os.path.dirname(source) or "."
            source, large = file.read(source)
        graph = source.graph
        file.require_bounded(graph)
        self.constants = Constants(graph.initializer, large, folder)
        self.nodes = list(graph.node)
        self.outputs = {value.name for value in graph.output}
        self.nested = bodies.lstms_of(source)
        self.consumers: dict[str, list[int]] = {}
        self.makers: dict[str, int] = {}
        self.quantized: dict[int, Any] = {}
        self._require_order({value.name for value in (*graph.initializer, *graph.input)})
        found = {n: self._lstm(node) for n, node in enumerate(self.nodes)}
        lstms = {n: lstm for n, lstm in found.items() if lstm}
        self.lstms: list[Lstm] = list(lstms.values())
        self.numbers = {id(lstm): number for number, lstm in enumerate(self.lstms)}
        numbered = {n: (self.numbers[id(lstm)], lstm) for n, lstm in lstms.items()}
        inputs = [value for value in graph.input if value.name not in self.constants]
        opset = max([s.version for s in source.opset_import if s.domain in _OWN], default=1)
        operators, shared = Operators(opset), dict[str, Value]()
        self.evaluations = [
            Evaluation(self.nodes, self.constants, numbered, operators, choice, shared)
            for choice in sizes.choices(inputs)
        ]

    def values(self, name: str) -> list[Value]:
        """A value, for each choice of the sizes that the model leaves free."""
        return [evaluation.value(name) for evaluation in self.evaluations]

    def constant(self, name: str) -> Any:
        """The array of a value that depends on no input of the model; None for other values."""
        value = self.evaluations[0].value(name)
        return value.array if value.depends == CONSTANT else None

    def _lstm(self, node: Any) -> Lstm | None:
        """The LSTM of a node; None for other nodes. Records the constants of Constant nodes."""
        if node.domain in _OWN and node.op_type == "LSTM":
            return Lstm(self._onnx, node, self.constant, self.constants.kind)
        if node.domain == quantized.DOMAIN and node.op_type == quantized.KIND:
            array_of = quantized.dequantized(node, self.constant)
            kind_of = quantized.kinds(node, self.constants.kind)
            lstm = Lstm(self._onnx, quantized.as_lstm(self._onnx, node), array_of, kind_of)
            self.quantized[id(lstm)] = node
            return lstm
        if node.domain in _OWN and node.op_type == "Constant" and node.output:
            self.constants.add(node.output[0], attributes(self._onnx, node))
        return None

    def _require_order(self, seen: set[str]) -> None:
        """ValueError unless each value is computed once, before it is read."""
        for number, node in enumerate(self.nodes):
            seen.update(node.input)
            for name in node.input:
                self.consumers.setdefault(name, []).append(number)
            for name in filter(None, node.output):
                if name in seen:
                    raise ValueError(
                        f"the value {name!r:.80} is read before it is computed, or computed "
                        "twice; expected nodes in topological order"
                    )
                seen.add(name)
                self.makers[name] = number
