"""LSTMs that are no nodes of the main graph, but in bodies of nodes and in functions."""

import importlib

import pytest

from jlstm.interop import Report, from_onnx
from tests.interop.onnx.models import FLOAT, handmade, helper, onnx


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
