"""ONNX Runtime: one native LSTM node per layer."""

import time
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from jlstm.bench.peers import Program, UnsupportedError, plain
from jlstm.bench.peers.ours import params_of
from jlstm.bench.problem import COMPARED_STEPS, Problem, Seen
from jlstm.interop import to_onnx


def prepare(problem: Problem, mode: str) -> Program:
    """A session that runs the model of `jlstm.interop.to_onnx`."""
    plain.require(problem, resets=False, directions=mode != "step", dtypes=("float32",))
    if mode == "training":
        raise UnsupportedError("it does not support training")
    if mode == "compile":
        raise UnsupportedError("compiling is timed for JAX only")
    config, given = problem.case.config, problem.lengths is not None
    params = params_of(config, problem.layers)
    model = to_onnx(config, params, lengths=given, carry=mode == "step").SerializeToString()
    start = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = problem.threads
    options.inter_op_num_threads = 1
    session = _session(model, options)
    built = time.perf_counter() - start
    xs = problem.xs
    fixed = {} if problem.lengths is None else {"lengths": problem.lengths}

    def zeros() -> dict[str, np.ndarray]:
        batch = xs.shape[1]
        return {
            f"{which}{n}": np.zeros((1, batch, layer.hidden_size), "float32")
            for n, layer in enumerate(config.layers)
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


def _identity() -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "", ends[:1], ends[1:])
    opset = helper.make_opsetid("", 14)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
