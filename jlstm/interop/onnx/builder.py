"""Builds the ONNX model of a stack, node by node."""

from typing import Any

import numpy as np

from jlstm.config import Config, Layer
from jlstm.interop.onnx.quantized import DOMAIN, KIND


class Builder:
    """A model with one LSTM node per layer, built from the lowest layer up.

    A layer with scales of its weights becomes a DynamicQuantizeLSTM node.
    """

    def __init__(self, onnx: Any, config: Config, lengths: bool, carry: bool, time_major: bool):
        self._onnx, self._config = onnx, config
        self._carry, self._time_major = carry, time_major
        self._constants: list[Any] = []
        self._nodes: list[Any] = []
        lead = ["T", "B"] if time_major else ["B", "T"]
        self._inputs = [self._described("xs", [*lead, config.input_size])]
        self._outputs: list[Any] = []
        self._lengths = "lengths" if lengths else ""
        if lengths:
            self._inputs.append(self._described("lengths", ["B"], onnx.TensorProto.INT32))
        self._lead = lead
        self._root = "xs" if time_major else self._node("Transpose", "xs", "xs_t", [1, 0, 2])
        if lengths and any(layer.residual for layer in config.layers):
            self._root = self._without_padding(self._root)
        self._current = self._root

    def layer(
        self, n: int, layer: Layer, arrays: dict[str, np.ndarray], attributes: dict[str, Any]
    ) -> None:
        """Adds a layer on top, with the nodes that join its directions and add its input."""
        read = self._current
        if layer.skip:
            read = f"read{n}"
            self._add("Concat", [self._current, self._root], [read], axis=2)
        given = [self._constant(f"{key}{n}", arrays[key]) for key in ("W", "R")]
        given.append(self._constant(f"B{n}", arrays["B"]) if "B" in arrays else "")
        names = [f"h{n}", f"c{n}"] if self._carry else ["", ""]
        states = names
        if not self._carry and "h" in arrays:
            states = [self._for_each_sequence(f"{state}{n}", arrays[state]) for state in "hc"]
        given += [self._lengths, *states]
        given.append(self._constant(f"P{n}", arrays["P"]) if "P" in arrays else "")
        kind, domain = ("LSTM", None) if "W_scale" not in arrays else (KIND, DOMAIN)
        if domain:
            parts = (f"{key}_{part}" for key in ("W", "R") for part in ("scale", "zero"))
            given += [self._constant(f"{part}{n}", arrays[part]) for part in parts]
        while given[-1] == "":
            given.pop()
        last = [f"{name}_last" for name in names] if self._carry else []
        made = [f"{name}_made" for name in last] if self._lengths else last
        attributes = {**attributes, "name": f"lstm{n}", "domain": domain}
        self._add(kind, [read, *given], [f"Y{n}", *made], **attributes)
        if made != last:
            for state in zip(made, names, last, strict=True):
                self._held(*state)
        shape = [2 if layer.bidirectional else 1, "B", layer.hidden_size]
        if self._carry:
            self._inputs += [self._described(name, shape) for name in names]
            self._outputs += [self._described(name, shape) for name in last]
        self._current = self._joined(n, layer, f"Y{n}")
        if layer.residual:
            self._add("Add", [self._current, read], [f"sum{n}"])
            self._current = f"sum{n}"

    def model(self) -> Any:
        """The model, in the oldest ONNX version that has all its operators, for older runtimes."""
        helper, last = self._onnx.helper, self._config.layers[-1]
        apart = [2] if last.merge == "none" else []
        size = last.state_size if apart else last.output_size
        outputs = [self._described("ys", [*self._lead, *apart, size])]
        if self._time_major:
            self._nodes[-1].output[0] = "ys"
        else:
            perm = [1, 0, 2, 3] if apart else [1, 0, 2]
            self._node("Transpose", self._current, "ys", perm)
        graph = helper.make_graph(
            self._nodes, "jlstm", self._inputs, outputs + self._outputs, self._constants
        )
        opsets = [helper.make_opsetid("", 14)]
        if any(node.domain for node in self._nodes):
            opsets.append(helper.make_opsetid(DOMAIN, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="jlstm")
        self._onnx.checker.check_model(model)
        return model

    def _without_padding(self, name: str) -> str:
        """An input [T, B, I] with its padding set to zero.

        The outputs of an LSTM node are zero in the padding, but a residual connection would add the
        input there. With a zero input, the padding stays zero in every layer.
        """
        self._add("Shape", [name], ["shape"])
        self._add("Gather", ["shape", self._integers("first", 0)], ["steps"])
        self._add("Range", [self._integers("first", 0), "steps", self._integers("by", 1)], ["at"])
        self._add("Unsqueeze", ["at", self._integers("columns", [1, 2])], ["at_all"])
        self._add("Less", ["at_all", self._each_length()], ["valid"])
        zero = self._constant("zero", np.zeros((), "float32"))
        self._add("Where", ["valid", name, zero], [f"{name}_valid"])
        return f"{name}_valid"

    def _for_each_sequence(self, name: str, state: np.ndarray) -> str:
        """A state [D, 1, H] as [D, B, H], the same for all sequences."""
        if not any("batch" in node.output for node in self._nodes):
            self._add("Shape", [self._root], ["shape_xs"])
            self._add("Slice", ["shape_xs", *map(self._axis, (1, 2))], ["batch"])
        sizes = [self._axis(size) for size in state.shape[::2]]
        self._add("Concat", [sizes[0], "batch", sizes[1]], [f"{name}_shape"], axis=0)
        self._add("Expand", [self._constant(name, state), f"{name}_shape"], [f"{name}_each"])
        return f"{name}_each"

    def _axis(self, value: int) -> str:
        """A whole number [1]."""
        return self._integers(f"int_{value}", [value])

    def _held(self, made: str, given: str, last: str) -> None:
        """The last state; the initial state for empty sequences, where ONNX Runtime returns 0."""
        if not any("some" in node.output for node in self._nodes):
            self._add("Less", [self._integers("none", [[[0]]]), self._each_length()], ["some"])
        self._add("Where", ["some", made, given], [last])

    def _each_length(self) -> str:
        """The lengths [1, B, 1], int64."""
        if not any("each_length" in node.output for node in self._nodes):
            kind = self._onnx.TensorProto.INT64
            self._add("Cast", [self._lengths], ["lengths_64"], to=kind)
            rows = self._integers("rows", [0, 2])
            self._add("Unsqueeze", ["lengths_64", rows], ["each_length"])
        return "each_length"

    def _joined(self, n: int, layer: Layer, name: str) -> str:
        """The output [T, B, ..] of a layer, from the LSTM node's Y [T, D, B, H]."""
        made = f"ys{n}"
        if not layer.bidirectional:
            self._add("Squeeze", [name, self._integers("one", [1])], [made])
        elif layer.merge in ("concat", "none"):
            rows = self._node("Transpose", name, f"rows{n}", [0, 2, 1, 3])
            if layer.merge == "none":
                return rows
            self._add("Reshape", [rows, self._integers("joined", [0, 0, -1])], [made])
        elif layer.merge == "sum":
            self._add("ReduceSum", [name, self._integers("one", [1])], [made], keepdims=0)
        else:
            kind = {"average": "ReduceMean", "mul": "ReduceProd"}[layer.merge]
            self._add(kind, [name], [made], axes=[1], keepdims=0)
        return made

    def _described(self, name: str, shape: list[Any], kind: int | None = None) -> Any:
        kind = self._onnx.TensorProto.FLOAT if kind is None else kind
        return self._onnx.helper.make_tensor_value_info(name, kind, shape)

    def _constant(self, name: str, array: np.ndarray) -> str:
        array = np.asarray(array, order="C")
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def _integers(self, name: str, values: Any) -> str:
        if name not in [tensor.name for tensor in self._constants]:
            self._constant(name, np.array(values, np.int64))
        return name

    def _add(self, kind: str, read: list[str], made: list[str], **attributes: Any) -> None:
        self._nodes.append(self._onnx.helper.make_node(kind, read, made, **attributes))

    def _node(self, kind: str, read: str, made: str, perm: list[int]) -> str:
        self._add(kind, [read], [made], perm=perm)
        return made
