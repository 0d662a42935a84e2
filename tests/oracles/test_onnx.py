"""Variants beside ONNX Runtime."""

import numpy as np
import pytest

import jlstm
from jlstm import Layer
from tests.examples import mostly_full
from tests.networks import apply, assert_close
from tests.oracles.calls import LENGTHS, B, H, T, call_of, permuted, sides

pytestmark = pytest.mark.filterwarnings("ignore")

ONNX = {
    "plain": (Layer(H), {}),
    "reverse": (Layer(H, reverse=True), {}),
    "both ways": (Layer(H, bidirectional=True), {}),
    "lengths": (Layer(H), LENGTHS),
    "lengths, both ways": (Layer(H, bidirectional=True), LENGTHS),
    "peepholes": (Layer(H, peepholes=True), {}),
    "peepholes, both ways, lengths": (Layer(H, bidirectional=True, peepholes=True), LENGTHS),
    "clip": (Layer(H, gate_clip=0.4), {}),
    "clip, peepholes": (Layer(H, gate_clip=0.4, peepholes=True), {}),
    "input_forget": (Layer(H, coupled_gates="forget", forget_bias=0.0), {}),
    "input_forget, peepholes, clip": (
        Layer(H, coupled_gates="forget", forget_bias=0.0, peepholes=True, gate_clip=0.5),
        {},
    ),
    "hard sigmoid, relu, softsign": (
        Layer(
            H,
            recurrent_activation="hard_sigmoid(0.2, 0.5)",
            activation="relu",
            cell_activation="softsign",
        ),
        {},
    ),
    "affine, leaky relu, elu": (
        Layer(
            H,
            recurrent_activation="affine(0.3, 0.4)",
            activation="leaky_relu(0.2)",
            cell_activation="elu(0.7)",
        ),
        {},
    ),
    "scaled tanh, softplus, thresholded relu": (
        Layer(
            H,
            recurrent_activation="scaled_tanh(0.6, 0.8)",
            activation="softplus",
            cell_activation="thresholded_relu(0.1)",
        ),
        {},
    ),
}
ONNX_NAMES = {
    "sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "softsign": "Softsign",
    "softplus": "Softplus", "hard_sigmoid": "HardSigmoid", "affine": "Affine",
    "leaky_relu": "LeakyRelu", "elu": "Elu", "scaled_tanh": "ScaledTanh",
    "thresholded_relu": "ThresholdedRelu",
}  # fmt: skip


def onnx_activations(layer):
    names, alphas, betas = [], [], []
    for name in (layer.recurrent_activation, layer.activation, layer.cell_activation):
        plain, _, constants = name.partition("(")
        numbers = [float(part) for part in constants.rstrip(")").split(",") if part]
        names.append(ONNX_NAMES[plain])
        alphas += numbers[:1]
        betas += numbers[1:]
    times = 2 if layer.bidirectional else 1
    return {
        "activations": names * times,
        "activation_alpha": alphas * times,
        "activation_beta": betas * times,
    }


def in_onnx(call):
    """Outputs [T, B, P] and last states, as jlstm lays them out."""
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    layer = call.config.layers[0]
    params, carry = sides(call.params.layers[0], layer), sides(call.carry[0], layer)
    feeds = {
        "X": call.xs,
        "W": np.stack([permuted(p.w_x, "iofg").T for p in params]),
        "R": np.stack([permuted(p.w_h, "iofg").T for p in params]),
        "B": np.stack([np.concatenate([permuted(p.b, "iofg"), np.zeros(4 * H)]) for p in params]),
        "lens": call.times.get("lengths", np.full(B, T, "int32")),
        "h0": np.stack([s.h for s in carry]),
        "c0": np.stack([s.c for s in carry]),
    }
    if layer.peepholes:
        feeds["P"] = np.stack([np.concatenate([p.peepholes[n] for n in (0, 2, 1)]) for p in params])
    feeds = {k: np.asarray(v, "int32" if k == "lens" else "float32") for k, v in feeds.items()}
    direction = "bidirectional" if layer.bidirectional else ["forward", "reverse"][layer.reverse]
    attributes = {
        "hidden_size": H,
        "direction": direction,
        "input_forget": int(layer.coupled_gates == "forget"),
        **{k: v for k, v in onnx_activations(layer).items() if v},
    }
    if layer.gate_clip is not None:
        attributes["clip"] = layer.gate_clip
    node = onnx.helper.make_node(
        "LSTM",
        ["X", "W", "R", "B", "lens", "h0", "c0", "P" if layer.peepholes else ""],
        ["Y", "Y_h", "Y_c"],
        **attributes,
    )
    kinds = {np.dtype("float32"): 1, np.dtype("int32"): 6}
    graph = onnx.helper.make_graph(
        [node],
        "lstm",
        [onnx.helper.make_tensor_value_info(k, kinds[v.dtype], v.shape) for k, v in feeds.items()],
        [onnx.helper.make_tensor_value_info(name, 1, None) for name in ("Y", "Y_h", "Y_c")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)])
    model.ir_version = 8
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    ys, h, c = session.run(None, feeds)
    if layer.bidirectional:
        return (jlstm.Carry(c, h),), np.concatenate([ys[:, 0], ys[:, 1]], -1)
    return (jlstm.Carry(c[0], h[0]),), ys[:, 0]


DEFAULT = [
    "reverse",
    "peepholes, both ways, lengths",
    "input_forget, peepholes, clip",
    "hard sigmoid, relu, softsign",
    "affine, leaky relu, elu",
    "scaled tanh, softplus, thresholded relu",
]


@pytest.mark.parametrize("row", mostly_full(ONNX, DEFAULT))
def test_onnx_runtime(row):
    call = call_of(*ONNX[row])
    assert_close(apply(call), in_onnx(call), atol=1e-5)
