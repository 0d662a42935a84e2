"""The nodes around LSTMs in an ONNX graph, and which of them form a stack."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jlstm.config import Config
from jlstm.interop import needs, onnx_file
from jlstm.interop.report import Report
from jlstm.params import Carry, Params

_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_MERGES = {"ReduceSum": "sum", "ReduceMean": "average", "ReduceProd": "mul"}
_SAME = ("Identity", "Dropout", "Cast")


class Lstm:
    """One LSTM node: its attributes, constants, and how a stack uses its output."""

    def __init__(self, graph: "Graph", node: Any, reads: "_Value") -> None:
        self.name = node.name or (node.output[0] if node.output else "LSTM")
        self.reads = reads
        self.around: dict[str, Any] = {"skip": True} if reads.kind == "skip" else {}
        self._graph = graph
        value_of = graph.onnx.helper.get_attribute_value
        self._attributes = {a.name: value_of(a) for a in node.attribute}
        names = list(node.input) + [""] * len(_INPUTS)
        self._inputs: dict[str, str] = dict(zip(_INPUTS, names, strict=False))

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute's value, text decoded."""
        value = self._attributes.get(name, default)
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, (list, tuple)):
            return [a.decode() if isinstance(a, bytes) else a for a in value]
        return value

    def given(self, name: str) -> bool:
        """Whether the node has that input."""
        return bool(self._inputs[name])

    def array(self, name: str) -> np.ndarray | None:
        """A constant input, or None if the node lacks it.

        Raises:
          ValueError: it is no constant.
        """
        if not self.given(name):
            return None
        found = self._graph.constant(self._inputs[name])
        if found is None:
            raise ValueError(f"{self.name}: {name} is computed by the model; expected a constant")
        return found

    def required(self, name: str) -> np.ndarray:
        """The same of an input that every LSTM has, of three axes."""
        found = self.array(name)
        if found is None or found.ndim != 3:
            shape = "missing" if found is None else list(found.shape)
            raise ValueError(f"{self.name}: {name} is {shape}; expected three axes [D, 4H, ..]")
        return found

    def state(self, name: str) -> np.ndarray | None:
        """A constant initial state [D, B, H], or None if the model has it as an input."""
        return self._graph.constant(self._inputs[name])


class _Value(NamedTuple):
    """What is known of a value: LSTM number `lstm` made it, and it has since become `kind`.

    "raw" is Y [T, D, B, H], "rows" is [T, B, D, H], "output" is what the next layer reads, "skip"
    that beside the network's input, "other" what no stack has; without an LSTM, an input.
    """

    kind: str
    lstm: int | None = None
    through: str = ""


class Graph:
    """A model's LSTM nodes and constants.

    Raises:
      ValueError: a file that is no whole model.
    """

    def __init__(self, source: Any) -> None:
        self.onnx = needs.module("onnx")
        self._large: dict[str, onnx_file.Large] = {}
        if isinstance(source, (str, os.PathLike)):
            source, self._large = self._read(source)
        if not isinstance(source, self.onnx.ModelProto):
            raise TypeError(
                f"source is {type(source).__name__}; expected an onnx.ModelProto or a path"
            )
        graph = source.graph
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._values: dict[str, _Value] = {}
        self.lstms: list[Lstm] = []
        for node in graph.node:
            self._follow(node)

    def _read(self, path: str | os.PathLike) -> tuple[Any, dict[str, onnx_file.Large]]:
        from google.protobuf.message import DecodeError

        try:
            return onnx_file.read(path)
        except OSError as error:
            raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
        except (DecodeError, ValueError, self.onnx.checker.ValidationError) as error:
            raise ValueError(f"{path} is not a whole ONNX model: {error}") from None

    def constant(self, name: str) -> np.ndarray | None:
        """The array of that name, if the model holds it."""
        tensor = self._tensors.get(name)
        if tensor is None:
            return None
        try:
            if name in self._large:
                return self._large[name].array(tensor)
            return self.onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise ValueError(f"the array {name} cannot be read: {error}") from None

    def chain(self, node: str | None) -> list[Lstm]:
        """The LSTMs of the one stack, or of that with the node of that name, lowest first."""
        below = {n: lstm.reads.lstm for n, lstm in enumerate(self.lstms)}
        below = {n: k if self.lstms[n].reads.kind != "other" else None for n, k in below.items()}
        tops = set(below) - set(below.values())
        chains = []
        for top in sorted(tops):
            numbers = [top]
            while (lower := below[numbers[0]]) is not None:
                numbers.insert(0, lower)
            chains.append([self.lstms[n] for n in numbers])
        named = [chain for chain in chains if node in [lstm.name for lstm in chain]]
        chains = named or ([] if node else chains)
        if len(chains) == 1:
            return chains[0]
        if not chains:
            names = [lstm.name for lstm in self.lstms]
            wanted = f" called {node!r}" if node else ""
            raise ValueError(f"the model has no LSTM node{wanted}; its LSTMs: {names or 'none'}")
        between = [
            f"{lstm.name} reads {self.lstms[lstm.reads.lstm].name} through {lstm.reads.through}"
            for lstm in self.lstms
            if lstm.reads.kind == "other" and lstm.reads.lstm is not None
        ]
        raise ValueError(
            f"the model has several stacks of LSTMs, {[[o.name for o in c] for c in chains]}; name "
            f"a node of one: node=...{'; ' if between else ''}{'; '.join(between)}"
        )

    def _follow(self, node: Any) -> None:
        """What a node makes of the values that it reads."""
        read = [self._values.get(name, _Value("input", None, name)) for name in node.input]
        made = _Value("input", None, node.output[0] if node.output else "")
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    self._tensors[node.output[0]] = attribute.t
            return
        if node.op_type == "LSTM":
            if not read:
                raise ValueError(f"the LSTM node {node.name!r} has no inputs")
            self.lstms.append(Lstm(self, node, read[0]))
            made = _Value("raw", len(self.lstms) - 1)
            if self.lstms[-1].attribute("layout", 0):
                made = _Value("rows", len(self.lstms) - 1)
        elif node.op_type in _SAME:
            made = read[0]
        elif node.op_type == "Transpose" and read[0].kind in ("input", "output"):
            made = read[0]  # batch and time change places
        elif any(value.lstm is not None for value in read):
            made = self._shaped(node, read)
        if node.output:
            self._values[node.output[0]] = made

    def _shaped(self, node: Any, read: list[_Value]) -> _Value:
        """The value after a node that reads an LSTM's output."""
        own = next(value for value in read if value.lstm is not None)
        other = _Value("other", own.lstm, node.op_type)
        lstm = self.lstms[own.lstm]  # type: ignore[index]
        both = lstm.attribute("direction", "forward") == "bidirectional"
        attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        axes = attributes.get("axes")
        if axes is None and len(node.input) > 1:
            axes = self.constant(node.input[1])
        axes = None if axes is None else np.ravel(axes).tolist()
        output = _Value("output", own.lstm)
        match node.op_type, own.kind:
            case "Squeeze", "raw" | "rows" if axes == [1 if own.kind == "raw" else 2] and not both:
                return output
            case "Transpose", "raw" if list(attributes.get("perm", [])) == [0, 2, 1, 3]:
                if both:
                    lstm.around["merge"] = "none"
                return own._replace(kind="rows")
            case "Reshape", "rows" if axes is not None and len(axes) == 3:
                lstm.around.pop("merge", None)
                return output
            case "ReduceSum" | "ReduceMean" | "ReduceProd", "raw" if axes == [1] and both:
                if attributes.get("keepdims", 1) == 0:
                    lstm.around["merge"] = _MERGES[node.op_type]
                    return output
            case "Add", "output" if lstm.reads in read:
                lstm.around["residual"] = True
                return output
            case "Concat", "output" if len(read) == 2 and attributes.get("axis") in (2, -1):
                root = self.lstms[0].reads
                if read[0] == own and read[1] == root:
                    return own._replace(kind="skip")
        return other


def with_states(
    config: Config, params: Params, chain: Sequence[Lstm], report: Report
) -> tuple[Config, Params]:
    """The network with constant initial states as its learned initial carry."""
    carries: list[Carry | None] = []
    for lstm, layer in zip(chain, config.layers, strict=True):
        pair = []
        for name in ("initial_c", "initial_h"):
            shape = (2 if layer.bidirectional else 1, layer.hidden_size)
            found = np.zeros((shape[0], 1, shape[1])) if not lstm.given(name) else lstm.state(name)
            if found is None:
                report.add(f"{name} is an input of the model: pass it in the carry of apply")
                found = np.zeros((shape[0], 1, shape[1]))
            if found.ndim != 3 or (found != found[:, :1]).any():
                raise ValueError(
                    f"{lstm.name}: {name} is a constant that differs between sequences; make it an "
                    "input of the model, and pass it in the carry of apply"
                )
            pair.append(found[:, 0] if layer.bidirectional else found[0, 0])
        carries.append(Carry(*(jnp.asarray(a, config.param_dtype) for a in pair)))
    if not any(np.any(np.asarray(a)) for carry in carries for a in carry or ()):
        return config, params
    report.add("constant initial states became a learned initial carry")
    layers = tuple(
        own._replace(initial_carry=carry) for own, carry in zip(params.layers, carries, strict=True)
    )
    return dataclasses.replace(config, learn_initial_carry=True), Params(layers)
