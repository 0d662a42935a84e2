"""ONNX models with odd values or missing parts: each is refused by name."""

import numpy as np
import pytest

from jlstm.interop import from_onnx
from tests.interop.frameworks import assert_same
from tests.interop.onnx.models import handmade, helper, onnx


@pytest.mark.parametrize(
    "attributes, initial, words",
    [
        ({}, np.eye(2, 4, dtype="float32")[None], "differs between sequences"),
        ({"layout": 1}, np.eye(2, 4, dtype="float32")[:, None], "differs between sequences"),
        ({}, np.zeros((1, 0, 4), "float32"), r"initial_h is \[1, 0, 4\].* B of at least 1"),
        ({}, np.zeros((1, 2, 3), "float32"), r"initial_h is \[1, 2, 3\]; expected \[1, B, 4\]"),
        ({}, np.zeros(4, "float32"), r"initial_h is \[4\]"),
        ({}, np.zeros((1, 2, 4), "int64"), "initial_h is int64; expected float32"),
    ],
)
def test_constants_that_are_no_initial_carry(attributes, initial, words):
    with pytest.raises(ValueError, match=words):
        from_onnx(handmade(attributes, initial=initial))


ODD = [
    ({"direction": "foo"}, "direction is 'foo'"),
    ({"direction": "Forward"}, "did you mean 'forward'"),
    ({"direction": "\x1b[31m"}, r"direction is '\\x1b\[31m'"),
    ({"layout": 2}, "layout is 2; expected 0 or 1"),
    ({"input_forget": 3}, "input_forget is 3; expected 0 or 1"),
    ({"clip": "a"}, "clip is 'a', of type STRING; expected FLOAT"),
    ({"clip": -1.0}, r"clip is -1\.0; expected a bound above 0"),
    ({"clip": float("nan")}, "clip is nan"),
    ({"hidden_size": 10**12}, "hidden_size is 1000000000000, but R has 4 units"),
    ({"hidden_size": 0}, "hidden_size is 0, but R has 4"),
    ({"hidden_size": -4}, "hidden_size is -4, but R has 4"),
    ({"hidden_size": [4]}, r"hidden_size is \[4\], of type INTS"),
    ({"activations": ["Tanh"]}, "names 1 activations.*expected 3"),
    ({"activations": ["Sigmoid", "Gelu", "Tanh"]}, "'Gelu' is not supported"),
    ({"activations": ["Sigmoid", "\x1b", "Tanh"]}, r"'\\x1b' is not supported"),
    ({"activations": ["Elu"] * 3, "activation_alpha": [float("nan")]}, "'nan' is not a finite"),
    ({"activations": ["Affine", "Tanh", "Tanh"]}, "Affine lacks its alpha and beta, for which run"),
    (
        {"activations": ["Elu", "Tanh", "ScaledTanh"], "activation_alpha": [1.0, 1.0]},
        "ScaledTanh lacks its alpha and beta",
    ),
    ({"activations": ["Relu", "ThresholdedRelu", "Relu"]}, "ThresholdedRelu lacks its alpha,"),
    ({"activation_alpha": 1.0}, "activation_alpha is 1.0, of type FLOAT; expected FLOATS"),
    ({"scale": 1}, "attribute 'scale', which is not one of ONNX's LSTM"),
    ({"direction": "bidirectional"}, r"W is \[1, 16, 5\]; expected \[2, 16, 5\]"),
]


@pytest.mark.parametrize("attributes, words", ODD, ids=[str(words) for _, words in ODD])
def test_odd_attributes_are_refused_by_name(attributes, words):
    with pytest.raises(ValueError, match=words) as caught:
        from_onnx(handmade(attributes))
    assert str(caught.value).isprintable()


def no_inputs(model):
    del model.graph.node[0].input[:]


def no_name(model):
    model.graph.node[0].input[1] = ""


def computed(model):
    model.graph.node.insert(0, helper.make_node("Relu", ["W"], ["V"]))
    model.graph.node[1].input[1] = "V"


def no_text(model):
    node = model.graph.node[0]
    node.name, node.attribute[0].i = "abc", 7
    data = model.SerializeToString().replace(b"\x1a\x03abc", b"\x1a\x03\xff\x1bc")
    model.Clear()
    model.MergeFromString(data)


def other_shape(model):
    model.graph.initializer[1].CopyFrom(
        onnx.numpy_helper.from_array(np.zeros((1, 16, 3), "float32"), "R")
    )


def other_numbers(model):
    model.graph.initializer[2].CopyFrom(onnx.numpy_helper.from_array(np.zeros((1, 32)), "B"))


def elsewhere(model):
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def backwards(model):
    model.graph.node.append(helper.make_node("Relu", ["Y"], ["X"]))


CHANGED = [
    (no_inputs, "LSTM node Y has no inputs"),
    (no_name, "W is missing"),
    (computed, "W is computed by the model"),
    (no_text, r"b'\\xff\\x1bc': hidden_size is 7"),
    (other_shape, "hidden_size is 4, but R has 3 units"),
    (other_numbers, "B is float64; expected float32"),
    (elsewhere, "its data is in another file"),
    (backwards, "'X' is read before it is computed"),
    (lambda m: m.graph.node.append(m.graph.node[0]), "'Y' is read before it is computed, or"),
    (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "two arrays 'W'"),
    (lambda m: m.graph.node[0].input.extend("abcd"), "has 12 inputs"),
    (lambda m: m.graph.node[0].attribute.append(m.graph.node[0].attribute[0]), "_size' twice"),
    (
        lambda m: m.graph.node[0].attribute[0].ClearField("type"),
        "hidden_size is None, of type UNDEFINED",
    ),
    (lambda m: setattr(m.graph.initializer[0], "data_type", 99), "'W' cannot be read.*is 99"),
    (lambda m: setattr(m.graph.initializer[0], "data_type", 0), "'W' cannot be read.*is 0"),
    (lambda m: m.graph.initializer[1].dims.__setitem__(2, 3), "'R' cannot be read"),
    (lambda m: m.graph.initializer[1].dims.__setitem__(2, -1), "no negative size"),
    (lambda m: m.graph.initializer[1].dims.__setitem__(2, 2**60), "'R' cannot be read"),
    (lambda m: m.graph.Clear(), "no LSTM node; its LSTMs: none"),
]


@pytest.mark.parametrize("change, words", CHANGED, ids=[str(words) for _, words in CHANGED])
def test_malformed_models_are_refused_in_words(change, words):
    model = handmade()
    change(model)
    with pytest.raises(ValueError, match=words):
        from_onnx(model)


def test_arrays_in_a_file_beside_the_model(tmp_path):
    wanted = from_onnx(handmade())[1]
    onnx.save(
        handmade(), tmp_path / "a.onnx", save_as_external_data=True, location="a", size_threshold=0
    )
    assert_same(from_onnx(tmp_path / "a.onnx")[1], wanted)
    model = onnx.load(tmp_path / "a.onnx", load_external_data=False)
    model.graph.initializer[0].dims[2] = 10**12
    (tmp_path / "b.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="'W' cannot be read: it has 64000000000000 bytes"):
        from_onnx(tmp_path / "b.onnx")
    (tmp_path / "a").unlink()
    with pytest.raises(ValueError, match="'R' cannot be read"):
        from_onnx(tmp_path / "a.onnx")


@pytest.mark.parametrize("source", [12345, None, b"model.onnx"])
def test_what_is_neither_a_model_nor_a_path(source):
    with pytest.raises(TypeError, match=r"expected an onnx\.ModelProto or a path"):
        from_onnx(source)
