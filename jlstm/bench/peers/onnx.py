"""ONNX Runtime: one native LSTM node a layer."""

import time
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from jlstm.bench.peers import Program, UnsupportedError, plain
from jlstm.bench.problem import COMPARED_STEPS, Problem, Seen


def prepare(problem: Problem, mode: str) -> Program:
    """A session over a model that is built here."""
    plain.require(problem, resets=False, directions=mode != "step", dtypes=("float32",))
    if mode == "training":
        raise UnsupportedError("it does not train")
    if mode == "compile":
        raise UnsupportedError("compiling is compared within JAX")
    start = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = problem.threads
    options.inter_op_num_threads = 1
    model = _model(problem, mode == "step").SerializeToString()
    session = _session(model, options)
    built = time.perf_counter() - start
    xs = problem.xs
    fixed = {} if problem.lengths is None else {"lengths": problem.lengths}

    def zeros() -> dict[str, np.ndarray]:
        batch = xs.shape[1]
        return {
            f"{which}{n}": np.zeros((1, batch, layer.hidden_size), "float32")
            for n, layer in enumerate(problem.case.config.layers)
            for which in "hc"
        }

    def step(x: np.ndarray, states: dict[str, np.ndarray]) -> tuple[np.ndarray, Any]:
        y, *after = session.run(None, {"xs": x, **states})
        return y, dict(zip(states, after, strict=True))  # type: ignore[return-value]

    def results() -> Seen:
        if mode == "forward":
            return {"outputs": np.asarray(session.run(None, {"xs": xs, **fixed})[0])}
        states, ys = zeros(), []
        for x in xs[:COMPARED_STEPS]:
            y, states = step(x[None], states)
            ys.append(y[0])
        return {"outputs": np.stack(ys)}

    state = [zeros()]

    def call() -> None:
        if mode == "step":
            _, state[0] = step(xs[:1], state[0])
        else:
            session.run(None, {"xs": xs, **fixed})

    empty = _session(_identity(), options)
    one = xs[-1, -1, -1:]
    return Program(call, results, lambda: empty.run(None, {"x": one}), 0.0, built)


def _session(model: bytes, options: Any) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _model(problem: Problem, streams: bool) -> Any:
    """Input xs [T, B, I], with lengths or states where asked for; outputs [T, B, D*H]."""
    config = problem.case.config
    constants, nodes, inputs, outputs = [], [], [], []

    def value(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    def constant(name: str, array: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    lengths = "" if problem.lengths is None else "lengths"
    joined = constant("joined", np.array([0, 0, -1]))
    name = "xs"
    for n, (layer, own) in enumerate(zip(config.layers, problem.layers, strict=True)):
        gates = [np.split(a, 4, -1) for a in own]
        # ONNX orders gates i, o, f, c and transposes the matrices; of its two biases one is zero.
        w_x, w_h, b = (np.concatenate([i, o, f, g], -1) for i, f, g, o in gates)
        arrays = {"W": w_x.swapaxes(1, 2), "R": w_h.swapaxes(1, 2)}
        arrays["B"] = np.concatenate([b, np.zeros_like(b)], -1)
        given = [constant(f"{key}{n}", array) for key, array in arrays.items()]
        states = [f"h{n}", f"c{n}"] if streams else []
        after = [f"h{n}_after", f"c{n}_after"] if streams else []
        nodes.append(
            helper.make_node(
                "LSTM",
                [name, *given, lengths, *states],
                [f"Y{n}", *after],
                hidden_size=layer.hidden_size,
                direction="bidirectional" if layer.bidirectional else "forward",
            )
        )
        # [T, D, B, H] to [T, B, D*H]
        nodes.append(helper.make_node("Transpose", [f"Y{n}"], [f"t{n}"], perm=[0, 2, 1, 3]))
        nodes.append(helper.make_node("Reshape", [f"t{n}", joined], [f"ys{n}"]))
        inputs += [value(s, [1, "B", layer.hidden_size]) for s in states]
        outputs += [value(s, [1, "B", layer.hidden_size]) for s in after]
        name = f"ys{n}"
    inputs.insert(0, value("xs", ["T", "B", config.input_size]))
    if lengths:
        inputs.append(value(lengths, ["B"], TensorProto.INT32))
    outputs.insert(0, value(name, ["T", "B", config.output_size]))
    return _finished(nodes, inputs, outputs, constants)


def _identity() -> bytes:
    kind = TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [1]) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"])
    return _finished([node], ends[:1], ends[1:], []).SerializeToString()


def _finished(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> Any:
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, constants)
    # The oldest format that has what is used, so that older runtimes read it.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
