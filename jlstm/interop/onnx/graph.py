"""An ONNX graph: its LSTM nodes, and the stacks that they form."""

import os
from typing import Any

from jlstm.interop import needs
from jlstm.interop.onnx import file
from jlstm.interop.onnx import values as onnx_values
from jlstm.interop.onnx.constants import Constants
from jlstm.interop.onnx.node import Lstm, attributes, shown
from jlstm.interop.onnx.values import Operator, Value

_HIGHEST = 1_000  # LSTMs per stack, so that a small file cannot take much memory
_OWN = ("", "ai.onnx")  # the domains of the standard ONNX operators


class Graph:
    """The LSTM nodes of a model or file, and the values computed from their outputs.

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
        self._values: dict[str, Value] = {}
        self._seen = {value.name for value in (*graph.initializer, *graph.input)}
        self._last: dict[int, tuple[int, str, Value]] = {}
        self._given = {value.name for value in graph.output}
        self._read = {name for node in graph.node for name in node.input}
        self.lstms: list[Lstm] = []
        for node in graph.node:
            self._follow(node)

    def chain(self, node: str | None) -> list[Lstm]:
        """The LSTMs of one stack, lowest first: of the only stack, or of the one with `node`.

        Raises:
          ValueError: there is no such LSTM, or several stacks match.
        """
        below = [lstm.reads.origin for lstm in self.lstms]
        above: dict[Any, list[int]] = {}
        for n, lower in enumerate(below):
            if isinstance(lower, int):
                above.setdefault(lower, []).append(n)
        tops = [n for n in range(len(below)) if n not in above]
        named = [n for n, lstm in enumerate(self.lstms) if node in (None, lstm.name)]
        if not named:
            titles = [lstm.title for lstm in self.lstms[:9]]
            wanted = "" if node is None else f" called {node!r:.80}"
            raise ValueError(f"the model has no LSTM node{wanted}; its LSTMs: {titles or 'none'}")
        top = named[-1]
        while len(above.get(top, ())) == 1:
            top = above[top][0]
        numbers = [top]
        while isinstance(lower := below[numbers[-1]], int):
            numbers.append(lower)
        if len(numbers) > _HIGHEST:
            raise ValueError(f"a stack of the model has more than {_HIGHEST} LSTMs")
        if top not in above and set(named) <= set(numbers):
            return [self.lstms[n] for n in reversed(numbers)]
        cuts = "; ".join(lstm.cut for lstm in self.lstms if lstm.cut)
        raise ValueError(
            "the model has several stacks of LSTMs, which end at "
            f"{[self.lstms[n].title for n in tops[:9]]}; choose one by the name of a node that no "
            f"other stack has: node=...{'; ' if cuts else ''}{cuts[:400]}"
        )

    def around(self, chain: list[Lstm]) -> tuple[list[dict[str, Any]], str]:
        """Options of Layer that the nodes around each LSTM imply, and the output value's name."""
        top = self.lstms.index(chain[-1])
        _, name, last = self._last[top]
        values = [*[lstm.reads for lstm in chain[1:]], last]
        made = []
        for lstm, value in zip(chain, values, strict=True):
            options: dict[str, Any] = {"merge": value.merge} if value.merge else {}
            options |= {"residual": True} if value.residual else {}
            made.append(options | ({"skip": True} if lstm.reads.skip else {}))
        return made, name

    def _follow(self, node: Any) -> None:
        """Records the values that `node` computes."""
        self._seen.update(node.input)
        outputs = [name for name in node.output if name]
        for name in outputs:
            if name in self._seen:
                raise ValueError(
                    f"the value {name!r:.80} is read before it is computed, or computed twice; "
                    "expected nodes in topological order"
                )
            self._seen.add(name)
        if not node.output:
            return
        known = node.domain in _OWN
        if known and node.op_type == "LSTM":
            self._add(node)
        elif known and node.op_type == "Constant":
            self.constants.add(node.output[0], attributes(self._onnx, node))
        elif known and node.op_type == "Identity" and self.constants.has(node.input):
            self.constants.alias(node.output[0], node.input[0])
        else:
            read = [self._value(name) if self._varies(name) else None for name in node.input]
            given = [value for value in read if value]
            made = self._made(node, read) if known and given else None
            own = next((value for value in given if isinstance(value.origin, int)), None)
            if own is not None:
                through = own.through or shown(node.op_type)
                self._values |= dict.fromkeys(outputs, Value(own.origin, None, through=through))
            if made and node.output[0]:
                self._keep(node.output[0], made)

    def _add(self, node: Any) -> None:
        """Adds an LSTM node: to the stack of the LSTM below, if it reads that as a stack does."""
        number, lstm = len(self.lstms), Lstm(self._onnx, node, self.constants.array)
        value, name = self._value(node.input[0]), node.input[0]
        if isinstance(value.origin, int) and value.axes != lstm.x_axes:
            how = f"through {value.through}" if value.axes is None else f"as {list(value.axes)}"
            lstm.cut = f"{lstm.title} reads {self.lstms[value.origin].title} {how}"
            value = self._values[name] = onnx_values.of_input(name)
        lstm.reads = value
        lstm.root = self.lstms[value.origin].root if isinstance(value.origin, int) else number
        self.lstms.append(lstm)
        for state in ("initial_h", "initial_c"):
            if isinstance(start := self._value(lstm.inputs[state]).origin, int):
                lstm.starts[state] = self.lstms[start]
        for output, state in zip(node.output[1:], ("Y_h", "Y_c"), strict=False):
            if output:
                self._values[output] = Value(number, None, through=state)
        self._values[node.output[0]] = made = Value(number, lstm.y_axes)
        use = 2 if node.output[0] in self._given else 0  # 0: a later value may replace it
        self._last[number] = use, node.output[0], made

    def _made(self, node: Any, read: list[Value | None]) -> Value | None:
        """The output of a standard node, if it is still an LSTM's output or an input; else None."""
        if node.op_type not in onnx_values.KNOWN:
            return None

        def constant(at: int) -> Any:
            return self.constants.array(node.input[at]) if at < len(node.input) else None

        operator = Operator(node.op_type, attributes(self._onnx, node), constant)
        first = read[0]
        if first and not any(read[1:]):
            lstm = self.lstms[first.origin] if isinstance(first.origin, int) else None
            dtype = self.constants.type_of(lstm.inputs["W"]) if lstm else 0
            return onnx_values.passed(operator, first, bool(lstm and lstm.both), dtype)
        if len(read) != 2 or not (first and read[1]):
            return None
        if node.op_type == "Add":
            return self._sum(operator, first, read[1]) or self._sum(operator, read[1], first)
        if node.op_type == "Concat" and isinstance(first.origin, int):
            root = self.lstms[self.lstms[first.origin].root]
            if read[1].origin == root.reads.origin and self._axes(read[1], root) == first.axes:
                return onnx_values.beside_input(operator, first)
        return None

    def _sum(self, operator: Operator, value: Value, other: Value) -> Value | None:
        """The sum of an LSTM's output `value` and its input `other`; None for any other sum."""
        if not isinstance(value.origin, int) or "F" not in (value.axes or ()):
            return None
        reads = self.lstms[value.origin].reads
        same = other._replace(axes=reads.axes) == reads
        if value.skip or value.residual or not same or operator.attributes:
            return None
        if self._axes(other, self.lstms[value.origin]) != value.axes:
            return None
        return value._replace(residual=True)

    def _axes(self, value: Value, lstm: Lstm) -> tuple[Any, ...] | None:
        """The axes of a value by name. An input's axes get the names that `lstm` gives them."""
        if isinstance(value.origin, int) or value.axes is None:
            return value.axes
        names = dict(zip(lstm.reads.axes, lstm.x_axes, strict=True))
        return tuple(names[axis] for axis in value.axes)

    def _varies(self, name: str) -> bool:
        """Whether `name` is a value that is not constant."""
        return bool(name) and name not in self.constants

    def _value(self, name: str) -> Value:
        """What is known of a value. A value that does not come from an LSTM counts as an input."""
        return self._values.get(name) or onnx_values.of_input(name)

    def _keep(self, name: str, value: Value) -> None:
        """Stores a value.

        For each LSTM, `_last` holds its last complete output. The model's outputs take precedence.
        """
        self._values[name] = value
        if not isinstance(value.origin, int) or value.skip:
            return
        use = 2 if name in self._given else int(name in self._read)
        whole = "F" in (value.axes or ()) or value.merge == "none"
        if whole and use >= self._last[value.origin][0]:
            self._last[value.origin] = use, name, value
