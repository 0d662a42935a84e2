"""ONNX models written by hand, node by node."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
helper = onnx.helper
FLOAT, FLOAT16, DOUBLE, INT32, INT64 = (
    getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "DOUBLE", "INT32", "INT64")
)
XS = np.random.default_rng(1).normal(size=(6, 2, 5)).astype("float32")


def ints(*values):
    return np.array(values, np.int64)


def model_of(nodes, arrays, outputs):
    constants = [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items()]
    first = helper.make_tensor_value_info("X", FLOAT, [None, None, 5])
    made = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", [first], made, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def handmade(attributes=None, *, initial=None, names=("Y", "Y_h", "Y_c"), count=1):
    """A model of one node with random weights, written without this library."""
    draw = np.random.default_rng(0)
    arrays = {
        "W": draw.normal(size=(count, 16, 5)) / 2,
        "R": draw.normal(size=(count, 16, 4)) / 2,
        "B": draw.normal(size=(count, 32)) / 2,
        "P": draw.normal(size=(count, 12)) / 2,
    }
    arrays = {name: a.astype("float32") for name, a in arrays.items()}
    states = ["", ""]
    if initial is not None:
        arrays |= {"h": initial, "c": initial * 2}
        states = ["h", "c"]
    given = {"hidden_size": 4} | (attributes or {})
    node = helper.make_node("LSTM", ["X", "W", "R", "B", "", *states, "P"], names, **given)
    return model_of([node], arrays, names)


def two(between, directions=1, layout=0):
    """Two LSTMs with nodes between that make "mid" of "Y0": (kind, other inputs, attributes)."""
    draw, width = np.random.default_rng(0), 4
    if directions == 2 and not between[-1][0].startswith("Reduce"):
        width = 8
    arrays, nodes = {}, []
    for n, (count, size) in enumerate([(directions, 5), (1, width)]):
        for name, shape in (("W", (16, size)), ("R", (16, 4)), ("B", (32,))):
            arrays[f"{name}{n}"] = (draw.normal(size=(count, *shape)) / 2).astype("float32")
        direction = "bidirectional" if count == 2 else "forward"
        inputs = [["X", "mid"][n], f"W{n}", f"R{n}", f"B{n}"]
        given = {"hidden_size": 4, "direction": direction} | ({"layout": layout} if layout else {})
        nodes.append(helper.make_node("LSTM", inputs, [f"Y{n}"], name=f"lstm{n}", **given))
    value = "Y0"
    for n, (kind, others, attributes) in enumerate(between):
        made = "mid" if n + 1 == len(between) else f"m{n}"
        names = [f"a{n}_{k}" for k in range(len(others))]
        arrays |= dict(zip(names, others, strict=True))
        nodes.insert(-1, helper.make_node(kind, [value, *names], [made], **attributes))
        value = made
    return model_of(nodes, arrays, ["Y1"])


def run_of(model):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": XS})


class Graph:
    """Nodes, arrays and inputs of a model, added one by one."""

    def __init__(self, size=5):
        self.nodes, self.arrays = [], {}
        self.inputs = [helper.make_tensor_value_info("X", FLOAT, [None, None, size])]
        self._draw = np.random.default_rng(0)

    def add(self, kind, *inputs, count=1, **attributes):
        """A node; inputs are names or arrays. Returns the name of its output, or of each."""
        names = []
        for value in inputs:
            if not isinstance(value, str):
                self.arrays[f"a{len(self.arrays)}"] = np.asarray(value)
                value = f"a{len(self.arrays) - 1}"
            names.append(value)
        made = [f"{kind}{len(self.nodes)}_{n}" for n in range(count)]
        self.nodes.append(helper.make_node(kind, names, made, name=made[0], **attributes))
        return made[0] if count == 1 else made

    def lstm(self, x, size=5, direction="forward", lengths="", h="", c="", units=4, **attributes):
        """An LSTM node with random weights. Returns the name of Y."""
        lead = 2 if direction == "bidirectional" else 1
        shapes = ((lead, 4 * units, size), (lead, 4 * units, units), (lead, 8 * units))
        weights = [(self._draw.normal(size=s) / 2).astype("float32") for s in shapes]
        inputs = [x, *weights, lengths, h, c]
        return self.add("LSTM", *inputs, hidden_size=units, direction=direction, **attributes)

    def model(self, *outputs):
        model = model_of(self.nodes, self.arrays, outputs)
        del model.graph.input[:]
        model.graph.input.extend(self.inputs)
        return model

    def run(self, *outputs, xs=XS, **feeds):
        """What ONNX Runtime computes."""
        data = self.model(*outputs).SerializeToString()
        session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        return session.run(None, {"X": xs, **feeds})
