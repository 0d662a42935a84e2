"""LSTMs that are no LSTM nodes of the main graph: with whole numbers as weights, or in bodies."""

import importlib

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Config
from jlstm.interop import Report, from_onnx, to_onnx
from tests.interop.frameworks import assert_close
from tests.interop.onnx.models import FLOAT, XS, handmade, helper, onnx, ort


def quantized(tmp_path, *, both, per_channel):
    """A network, and its model with int8 weights by ONNX Runtime's own tool."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    config = Config.stack(5, [4, 3], bidirectional=both)
    params = jlstm.init(jax.random.key(0), config)
    onnx.save(to_onnx(config, params), tmp_path / "a.onnx")
    quantize_dynamic(
        tmp_path / "a.onnx",
        tmp_path / "b.onnx",
        op_types_to_quantize=["LSTM"],
        per_channel=per_channel,
        weight_type=QuantType.QInt8,
    )
    return config, params, tmp_path / "b.onnx"


@pytest.mark.full
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_int8_weights_of_onnx_runtime_become_float32(both, per_channel, tmp_path):
    _, params, path = quantized(tmp_path, both=both, per_channel=per_channel)
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("DynamicQuantizeLSTM") == 2
    report = Report()
    found, weights = from_onnx(path, report=report)
    assert [layer.bidirectional for layer in found.layers] == [both] * 2
    assert "int8 weights became float32" in str(report)
    for own, exact in zip(jax.tree.leaves(weights), jax.tree.leaves(params), strict=True):
        assert np.abs(own - exact).max() <= np.abs(exact).max() / 127
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    own = jlstm.apply(found, weights, None, XS)[1]
    assert_close(own, session.run(None, {"xs": XS})[0], atol=0.02)


def inside(kind):
    """A node of this kind whose body holds an LSTM called `inner`."""
    lstm = helper.make_node("LSTM", ["X", "W", "R"], ["z"], name="inner", hidden_size=4)
    out = helper.make_tensor_value_info("z", FLOAT, None)
    body = helper.make_graph([lstm], "body", [], [out])
    if kind == "If":
        bodies = {"then_branch": body, "else_branch": body}
        return helper.make_node("If", ["X"], ["out"], name="outer", **bodies)
    return helper.make_node(kind, ["X"], ["out"], name="outer", body=body)


@pytest.mark.parametrize("kind", ["If", "Loop", "Scan"])
def test_lstms_in_bodies_are_named(kind):
    model = handmade()
    model.graph.node.append(inside(kind))
    report = Report()
    assert len(from_onnx(model, report=report)[0].layers) == 1
    assert f"left out: inner in a body of the {kind} outer" in str(report)
    del model.graph.node[0]
    words = rf"no LSTM node; .*main graph only, not inner in a body of the {kind} outer.*export"
    with pytest.raises(ValueError, match=words):
        from_onnx(model)


def test_lstms_in_functions_are_named_and_read_once_inlined():
    model = handmade(names=("Y",))
    node = onnx.NodeProto.FromString(model.graph.node[0].SerializeToString())
    inputs = [name for name in node.input if name]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Recurrent", inputs, ["Y"], [node], opsets[:1])
    call = helper.make_node("Recurrent", inputs, ["Y"], domain="own", name="call")
    model.graph.node[0].CopyFrom(call)
    model.functions.append(function)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    with pytest.raises(ValueError, match=r"in the function Recurrent.*inline_local_functions"):
        from_onnx(model)
    inlined = importlib.import_module("onnx.inliner").inline_local_functions(model)
    assert from_onnx(inlined)[0].layers[0].hidden_size == 4
