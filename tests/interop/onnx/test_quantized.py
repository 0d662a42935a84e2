"""int8 weights to ONNX Runtime's DynamicQuantizeLSTM, and back."""

import dataclasses

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer
from jlstm.interop import Report, from_onnx, to_onnx
from tests import reference
from tests.examples import mostly_full
from tests.interop.onnx.models import XS, helper, onnx, ort
from tests.networks import assert_close, random_like

TIMES = {"lengths": np.array([6, 3], "int32")}


def session(model):
    """A session of a model or a file in one thread: on a busy machine, several wait."""
    if isinstance(model, onnx.ModelProto):
        model = model.SerializeToString()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def small(config, seed=0):
    params = jlstm.init(jax.random.key(seed), config)
    return jlstm.quantize(config, params)


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


LAYERS = {
    "plain": [Layer(7, forget_bias=0.0)],
    "both ways": [Layer(7, forget_bias=0.0, bidirectional=True), Layer(4, forget_bias=0.0)],
    "no bias, reverse": [Layer(7, bias=False, reverse=True)],
    "peepholes and clip": [Layer(7, forget_bias=0.0, peepholes=True, gate_clip=0.75)],
    "residual": [Layer(5, forget_bias=0.0, residual=True), Layer(4, forget_bias=0.0, skip=True)],
    "merged": [Layer(7, forget_bias=0.0, bidirectional=True, merge="sum")],
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("learned", [False, True])
def test_int8_weights_come_back_as_they_were(name, learned):
    config = Config(5, tuple(LAYERS[name]), learn_initial_carry=learned)
    params = small(config)
    if learned:
        layers = (
            own._replace(initial_carry=random_like(n, own.initial_carry))
            for n, own in enumerate(params.layers)
        )
        params = jlstm.Params(tuple(layers))
    report = Report()
    model = to_onnx(config, params)
    found, again = from_onnx(model, report=report)
    assert found == config
    same(again, params)
    assert str(report).count("its weights stay int8") == len(config.layers)
    assert {s.domain: s.version for s in model.opset_import} == {"": 14, "com.microsoft": 1}
    # int8 and scales in the file, and none of the float matrices
    stored = {a.name: a for a in model.graph.initializer}
    assert {onnx.TensorProto.DataType.Name(stored[n].data_type) for n in ("W0", "R0")} == {"INT8"}


@pytest.mark.parametrize(
    "name", mostly_full([*LAYERS], default=["both ways", "peepholes and clip"])
)
@pytest.mark.parametrize("lengths", [False, True])
def test_onnx_runtime_runs_them(name, lengths):
    """To a hundredth, since it rounds inputs too."""
    config = Config(5, tuple(LAYERS[name]))
    params = small(config)
    given = TIMES if lengths else {}
    outputs = session(to_onnx(config, params, lengths=lengths)).run(None, {"xs": XS, **given})
    own = jlstm.apply(config, params, None, XS, **given)[1]
    assert 1e-7 < np.abs(own - outputs[0]).max() < 0.02  # its kernel for int8 ran


def rounded(a):
    """`a` as ONNX Runtime rounds the input of a product: uint8, with a scale for all of it."""
    low, high = min(a.min(), 0), max(a.max(), 0)
    scale = np.float32((high - low) / 255)
    zero = np.round(-low / scale)
    return (np.clip(np.round(a / scale) + zero, 0, 255) - zero) * scale


def test_onnx_runtime_reads_the_weights_that_we_mean():
    """Tightly, beside the equations in NumPy with inputs that are rounded as it does."""
    config = Config(5, (Layer(7, forget_bias=0.0),))
    params = small(config)
    layer = params.layers[0]
    w_x, w_h = (np.asarray(w.values) * np.asarray(w.scale, "float64") for w in layer[:2])
    sigmoid = np.vectorize(reference.sigmoid)
    c = h = np.zeros((2, 7))
    ys = []
    for z_x in rounded(XS) @ w_x:
        z_h = rounded(h) @ w_h if h.any() else 0.0
        i, f, g, o = np.split(z_x + z_h + np.asarray(layer.b), 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        ys.append(h)
    (seen,) = session(to_onnx(config, params)).run(None, {"xs": XS})
    np.testing.assert_allclose(seen, np.stack(ys), atol=1e-5)


def test_the_carry_is_passed_on():
    config = Config(5, (Layer(7, forget_bias=0.0),))
    params = small(config)
    model = session(to_onnx(config, params, carry=True))
    carry = {name: np.zeros((1, 2, 7), "float32") for name in ("h0", "c0")}
    parts = []
    for xs in (XS[:2], XS[2:]):
        ys, *last = model.run(["ys", "h0_last", "c0_last"], {"xs": xs, **carry})
        carry = dict(zip(carry, last, strict=True))
        parts.append(ys)
    own = jlstm.apply(config, params, None, XS)
    np.testing.assert_allclose(np.concatenate(parts), own[1], atol=0.01)
    np.testing.assert_allclose(carry["c0"][0], own[0][0].c, atol=0.02)


def by_onnx_runtime(tmp_path, *, both, per_channel, kind):
    """A network, and its model with 8-bit weights by ONNX Runtime's own tool."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    config = Config.stack(5, [4, 3], bidirectional=both)
    params = jlstm.init(jax.random.key(0), config)
    onnx.save(to_onnx(config, params), tmp_path / "a.onnx")
    quantize_dynamic(
        tmp_path / "a.onnx",
        tmp_path / "b.onnx",
        op_types_to_quantize=["LSTM"],
        per_channel=per_channel,
        weight_type=getattr(QuantType, kind),
    )
    return params, tmp_path / "b.onnx"


CASES = [
    (both, per_channel, kind)
    for both in (False, True)
    for per_channel in (False, True)
    for kind in ("QInt8", "QUInt8")
]


@pytest.mark.parametrize(
    ("both", "per_channel", "kind"), mostly_full(CASES, default=[(True, True, "QInt8")])
)
def test_models_that_onnx_runtime_quantised_are_read(both, per_channel, kind, tmp_path):
    params, path = by_onnx_runtime(tmp_path, both=both, per_channel=per_channel, kind=kind)
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("DynamicQuantizeLSTM") == 2
    report = Report()
    found, weights = from_onnx(path, report=report)
    assert [layer.bidirectional for layer in found.layers] == [both] * 2
    exact = jlstm.dequantize(found, weights)
    for own, wanted in zip(jax.tree.leaves(exact), jax.tree.leaves(params), strict=True):
        assert np.abs(own - wanted).max() <= np.abs(wanted).max() / 127
    if kind == "QInt8":
        assert weights.layers[0].w_x.values.dtype == "int8"
        assert str(report).count("its weights stay int8") == 2
    model = session(path)
    own = jlstm.apply(found, weights, None, XS)[1]
    np.testing.assert_allclose(own, model.run(None, {"xs": XS})[0], atol=0.02)


def by_hand(values, zero, scale, direction="forward"):
    """A DynamicQuantizeLSTM node whose W and R hold these values, with H 4 and I 5."""
    arrays = {
        "W": values[:, :5],
        "R": values[:, 5:],
        "W_scale": scale,
        "W_zero": zero,
        "R_scale": scale,
        "R_zero": zero,
    }
    names = ["X", "W", "R", "", "", "", "", "", "W_scale", "W_zero", "R_scale", "R_zero"]
    return names, arrays, direction


def model_by_hand(*parts):
    """A model of one node, or of a forward and a reverse node whose outputs are joined."""
    nodes, constants, outputs = [], [], []
    for n, (names, arrays, direction) in enumerate(parts):
        read = [f"{name}{n}" if name in arrays else name for name in names]
        node = helper.make_node(
            "DynamicQuantizeLSTM", read, [f"Y{n}"], name=f"own{n}", domain="com.microsoft",
            hidden_size=4, direction=direction,
        )  # fmt: skip
        nodes.append(node)
        constants += [
            onnx.numpy_helper.from_array(np.ascontiguousarray(a), f"{name}{n}")
            for name, a in arrays.items()
        ]
        outputs.append(f"Y{n}")
    if len(parts) == 2:
        constants.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
        for name in outputs:
            nodes.append(helper.make_node("Squeeze", [name, "one"], [f"{name}s"]))
        nodes.append(helper.make_node("Concat", ["Y0s", "Y1s"], ["joined"], axis=2))
        outputs = ["joined"]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("X", [None, None, 5]), (outputs[0], None))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", 14), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


DRAW = np.random.default_rng(0)
BYTES = DRAW.integers(0, 256, (1, 9, 16), dtype="uint8")
STORED = {
    "int8, a scale for all": ((BYTES - 128).view("int8"), np.zeros(1, "int8"), 0.01, True),
    "uint8 around 128": (BYTES, np.full(1, 128, "uint8"), 0.01, True),
    "uint8 around 128, each column": (BYTES, np.full((1, 16), 128, "uint8"), None, True),
    "uint8 around 100": (BYTES, np.full(1, 100, "uint8"), 0.01, False),
    "int8 around 3": ((BYTES - 128).view("int8"), np.full(1, 3, "int8"), 0.01, False),
    "small int8 around 3": (
        np.clip((BYTES - 128).view("int8"), -90, 90), np.full(1, 3, "int8"), 0.01, True
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORED)
def test_weights_become_int8_where_that_loses_nothing(name):
    values, zero, scale, fits = STORED[name]
    scales = np.full(1, scale, "float32") if scale else DRAW.random((1, 16)).astype("float32")
    report = Report()
    config, params = from_onnx(model_by_hand(by_hand(values, zero, scales)), report=report)
    assert ("stay int8" in str(report)) == fits and ("became float32" in str(report)) != fits
    assert hasattr(params.layers[0].w_x, "values") == fits
    exact = jlstm.dequantize(config, params).layers[0]
    wanted = (values[0].astype("float64") - zero.reshape(1, -1)) * scales.reshape(1, -1)
    i, o, f, g = np.split(wanted, 4, -1)
    wanted = np.concatenate([i, f, g, o], -1)
    np.testing.assert_allclose(exact.w_x, wanted[:5], rtol=1e-6)
    np.testing.assert_allclose(exact.w_h, wanted[5:], rtol=1e-6)


@pytest.mark.parametrize("fits", [True, False])
def test_two_nodes_of_one_layer_are_int8_together(fits):
    signed = (BYTES - 128).view("int8")
    scale, zero = np.full(1, 0.01, "float32"), np.full(1, 0 if fits else 3, "int8")
    forward = by_hand(signed, np.zeros(1, "int8"), scale)
    backward = by_hand(-(signed // 2), zero, scale * 2, "reverse")
    if not fits:
        backward[1]["W"] = np.full_like(backward[1]["W"], -128)
    config, params = from_onnx(model_by_hand(forward, backward))
    assert config.layers[0].bidirectional
    w_x = params.layers[0].w_x
    assert hasattr(w_x, "values") == fits and w_x.shape == (2, 5, 16)
    if fits:
        np.testing.assert_allclose(w_x.scale[:, 0], [0.01, 0.02])


def test_what_the_node_cannot_hold_is_refused():
    config = Config(5, (Layer(4, projection_size=2),))
    with pytest.raises(ValueError, match="projection_size"):
        to_onnx(config, small(config))
    config = Config(5, (Layer(4),))
    params = small(config)
    float_too = jlstm.dequantize(config, params).layers[0]
    mixed = jlstm.Params((params.layers[0]._replace(w_h=float_too.w_h),))
    with pytest.raises(ValueError, match=r"w_x is int8, but w_h is not; .* needs both"):
        to_onnx(config, mixed)
    wide = dataclasses.replace(config, param_dtype="bfloat16")
    with pytest.raises(ValueError, match="parameters are bfloat16"):
        to_onnx(wide, small(wide))


def test_layers_may_differ():
    config = Config(5, (Layer(7, forget_bias=0.0), Layer(4, forget_bias=0.0)))
    params = small(config)
    exact = jlstm.dequantize(config, params)
    mixed = jlstm.Params((params.layers[0], exact.layers[1]))
    model = to_onnx(config, mixed)
    kinds = [node.op_type for node in model.graph.node]
    assert [kind for kind in kinds if "LSTM" in kind] == ["DynamicQuantizeLSTM", "LSTM"]
    same(from_onnx(model)[1], mixed)


def test_convert_writes_and_reads_int8_onnx(tmp_path, capsys):
    command = pytest.importorskip("jlstm.interop.command")
    config = Config(5, (Layer(7, forget_bias=0.0),))
    params = jlstm.init(jax.random.key(0), config)
    jlstm.save(tmp_path / "a.safetensors", config, params)
    command.convert(tmp_path / "a.safetensors", tmp_path / "b.onnx", quantize=True)
    command.convert(tmp_path / "b.onnx", tmp_path / "c.safetensors")
    assert "stay int8" in capsys.readouterr().out
    same(jlstm.load(tmp_path / "c.safetensors")[1], jlstm.quantize(config, params))
    command.convert(tmp_path / "b.onnx", tmp_path / "d.npz")
    assert "int8 weights became float32" in capsys.readouterr().out


def test_the_network_that_is_read_runs():
    config = Config(5, (Layer(7, forget_bias=0.0, bidirectional=True),))
    params = small(config)
    found, again = from_onnx(to_onnx(config, params))
    assert_close(jlstm.apply(found, again, None, XS), jlstm.apply(config, params, None, XS), atol=0)
