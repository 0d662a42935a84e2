"""ONNX models of others: which nodes make a stack, and what is refused by name."""

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer
from jlstm.interop import Report, from_onnx, to_onnx
from tests.interop.frameworks import assert_close, assert_same
from tests.interop.onnx.models import (
    DOUBLE,
    FLOAT,
    FLOAT16,
    INT64,
    XS,
    handmade,
    helper,
    ints,
    onnx,
    ort,
    run_of,
    two,
)

HANDMADE = {
    "plain": {},
    "reverse": {"direction": "reverse"},
    "both": {"direction": "bidirectional"},
    "clip, input_forget": {"clip": 0.4, "input_forget": 1},
    "no clip": {"clip": float("inf")},
    "activations": {
        "activations": ["HardSigmoid", "LeakyRelu", "Affine"],
        "activation_alpha": [0.3, 0.1, 0.8],
        "activation_beta": [0.4, 0.1],
    },
    "activations in lower case, default constants": {
        "activations": ["hardsigmoid", "elu", "softsign"],
    },
    "more default constants": {"activations": ["Sigmoid", "LeakyRelu", "Tanh"]},
    "constants of all": {
        "activations": ["Affine", "ThresholdedRelu", "ScaledTanh"],
        "activation_alpha": [0.3, 0.1, 0.8],
        "activation_beta": [0.4, 0.7],
    },
    "constants that no activation takes": {"activation_alpha": [0.3, 0.3, 0.3]},
}


@pytest.mark.parametrize("name", HANDMADE)
def test_models_of_others(name):
    both = HANDMADE[name].get("direction") == "bidirectional"
    model = handmade(HANDMADE[name], count=2 if both else 1)
    ys, h, c = run_of(model)
    (carry,), own = jlstm.apply(*from_onnx(model), None, XS)
    wanted = np.concatenate(list(ys.swapaxes(0, 1)), -1)
    assert_close((own, carry.h, carry.c), (wanted, h if both else h[0], c if both else c[0]))


SQUEEZE = ("Squeeze", [ints(1)], {})
ROWS = ("Transpose", [], {"perm": [0, 2, 1, 3]})
SWAP = ("Transpose", [], {"perm": [1, 0, 2]})
JOINED = ("Reshape", [ints(0, 0, -1)], {})

STACKS = {
    "all axes of one squeezed": (1, [("Squeeze", [], {})]),
    "squeezed": (1, [SQUEEZE]),
    "squeezed, counted from the last axis": (1, [("Squeeze", [ints(-3)], {})]),
    "squeezed after directions moved": (1, [ROWS, ("Squeeze", [ints(2)], {})]),
    "joined, of one direction": (1, [ROWS, JOINED]),
    "batch and time swapped twice": (1, [SQUEEZE, SWAP, SWAP]),
    "the same": (1, [SQUEEZE, ("Identity", [], {}), ("Dropout", [np.float32(0.5)], {})]),
    "wider numbers": (1, [SQUEEZE, ("Cast", [], {"to": DOUBLE}), ("Cast", [], {"to": FLOAT})]),
    "joined": (2, [ROWS, JOINED]),
    "joined, of known size": (2, [ROWS, ("Reshape", [ints(0, 0, 8)], {})]),
    "summed": (2, [("ReduceSum", [ints(1)], {"keepdims": 0})]),
    "multiplied": (2, [ROWS, ("ReduceProd", [], {"axes": [-2], "keepdims": 0})]),
}


@pytest.mark.parametrize("name", STACKS)
def test_nodes_that_keep_the_meaning_of_every_axis_make_a_stack(name):
    directions, between = STACKS[name]
    model = two(between, directions)
    (ys,) = run_of(model)
    config, params = from_onnx(model)
    assert len(config.layers) == 2
    assert_close(jlstm.apply(config, params, None, XS)[1], ys[:, 0])


@pytest.mark.filterwarnings("ignore")  # the exporter warns of itself, and of its tracing
def test_a_stack_that_torch_exported(tmp_path):
    torch = pytest.importorskip("torch")
    lstm = torch.nn.LSTM(5, 4, num_layers=2, bidirectional=True, batch_first=True)
    xs = torch.tensor(XS)
    torch.onnx.export(
        lstm,
        (xs,),
        tmp_path / "a.onnx",
        dynamo=False,
        input_names=["xs"],
        dynamic_axes={"xs": {0: "batch", 1: "time"}},
    )
    config, params = from_onnx(tmp_path / "a.onnx")
    own = jlstm.apply(config, params, None, XS, time_major=False)[1]
    assert_close(own, lstm(xs)[0].detach().numpy())


def reshape(*shape, **attributes):
    return ("Reshape", [ints(*shape)], attributes)


NO_STACKS = {
    "batch and time swapped": (1, [SQUEEZE, SWAP], "axes B, T, F where"),
    "batch and features swapped": (
        1,
        [SQUEEZE, ("Transpose", [], {"perm": [0, 2, 1]})],
        "axes T, F, B where",
    ),
    "all axes reversed": (1, [SQUEEZE, ("Transpose", [], {})], "axes F, B, T where"),
    "no permutation": (1, [SQUEEZE, ("Transpose", [], {"perm": [0, 0, 2]})], "through .*Transpose"),
    "units before directions": (
        2,
        [("Transpose", [], {"perm": [0, 2, 3, 1]}), JOINED],
        "through .*Reshape",
    ),
    "batch beside units": (2, [JOINED], "through .*Reshape"),
    "time and batch mixed": (2, [ROWS, reshape(2, 6, 8)], "through .*Reshape"),
    "time and batch inferred": (2, [ROWS, reshape(-1, 2, 8)], "through .*Reshape"),
    "zeros that are zeros": (2, [ROWS, reshape(0, 0, 8, allowzero=1)], "through .*Reshape"),
    "of two axes": (1, [SQUEEZE, reshape(-1, 4)], "through .*Reshape"),
    "another axis squeezed": (1, [("Squeeze", [ints(0)], {})], "through .*Squeeze"),
    "summed over time": (2, [("ReduceSum", [ints(0)], {"keepdims": 0})], "through .*ReduceSum"),
    "summed, the axis kept": (2, [("ReduceSum", [ints(1)], {}), JOINED], "through .*ReduceSum"),
    "whole numbers": (1, [SQUEEZE, ("Cast", [], {"to": INT64})], "through .*Cast"),
    "narrower numbers": (1, [SQUEEZE, ("Cast", [], {"to": FLOAT16})], "through .*Cast"),
    "no such numbers": (1, [SQUEEZE, ("Cast", [], {"to": 99})], "through .*Cast"),
    "dropout in training": (
        1,
        [SQUEEZE, ("Dropout", [np.float32(0.5), np.True_], {})],
        "through .*Dropout",
    ),
    "another function": (1, [SQUEEZE, ("Relu", [], {})], "through .*Relu"),
    "something added": (1, [SQUEEZE, ("Add", [np.float32(1)], {})], "through .*Add"),
    "an unknown attribute": (1, [SQUEEZE, ("Identity", [], {"scale": 2.0})], "through .*Identity"),
    "an attribute of another type": (1, [("Squeeze", [], {"axes": "a"})], "through .*Squeeze"),
    "an operator of others": (
        1,
        [SQUEEZE, ("Identity", [], {"domain": "my"})],
        "through .*Identity",
    ),
    "control characters": (1, [SQUEEZE, ("\x1b[2J", [], {})], r"through .*'\\x1b\[2J'"),
}


@pytest.mark.parametrize("name", NO_STACKS)
def test_nodes_that_change_numbers_or_axes_make_none(name):
    directions, between, how = NO_STACKS[name]
    model = two(between, directions)
    with pytest.raises(ValueError, match=rf"several stacks.*lstm1 reads lstm0 .*{how}") as caught:
        from_onnx(model)
    assert str(caught.value).isprintable()
    one, _ = from_onnx(model, node="lstm1")
    assert len(one.layers) == 1


def test_with_layout_1_the_batch_comes_first_everywhere():
    between = [("Squeeze", [ints(2)], {})]
    report = Report()
    config, params = from_onnx(two(between, layout=1), report=report)
    assert "time_major=False" in str(report)
    wanted = from_onnx(two([SQUEEZE]))
    assert config == wanted[0]
    assert_same(params, wanted[1])
    joined = from_onnx(two([JOINED], directions=2, layout=1))
    assert_same(joined[1], from_onnx(two([ROWS, JOINED], directions=2))[1])
    for nodes in ([SQUEEZE], [*between, SWAP]):
        with pytest.raises(ValueError, match="lstm1 reads lstm0"):
            from_onnx(two(nodes, layout=1))


def test_the_next_layer_reads_a_residual_sum_only_where_the_model_does():
    config = Config(5, (Layer(5, residual=True), Layer(3)))
    model = to_onnx(config, jlstm.init(jax.random.key(0), config))
    node = next(node for node in model.graph.node if node.name == "lstm1")
    node.input[0] = "ys0"
    model.graph.output[0].name = "Y1"
    found, params = from_onnx(model)
    assert not found.layers[0].residual
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (ys,) = session.run(["Y1"], {"xs": XS})
    assert_close(jlstm.apply(found, params, None, XS)[1], ys[:, 0])


def test_of_several_stacks_one_is_named():
    config = Config.stack(5, [4, 4])
    model = to_onnx(config, jlstm.init(jax.random.key(0), config))
    second = onnx.NodeProto.FromString(model.graph.node[2].SerializeToString())
    second.name, second.output[0] = "other", "Y"
    model.graph.node.append(second)
    for node in (None, "lstm0"):
        with pytest.raises(ValueError, match="end at lstm1, other; choose one by"):
            from_onnx(model, node=node)
    assert len(from_onnx(model, node="other")[0].layers) == 2
    with pytest.raises(ValueError, match="no LSTM node called 'none'"):
        from_onnx(model, node="none")


def test_constant_initial_states_become_a_learned_initial_carry():
    row = np.random.default_rng(2).normal(size=(1, 1, 4)).astype("float32")
    model = handmade(initial=np.repeat(row, 2, 1))
    ys = run_of(model)[0]
    config, params = from_onnx(model)
    assert config.learn_initial_carry
    assert_close(jlstm.apply(config, params, None, XS)[1], ys[:, 0], atol=1e-5)
    first = from_onnx(handmade({"layout": 1}, initial=np.repeat(row, 3, 0)))
    assert_same(first[1], params)


def test_the_report_says_where_inputs_and_outputs_of_the_model_went():
    report = Report()
    config = Config.stack(5, [4])
    params = jlstm.init(jax.random.key(0), config)
    from_onnx(to_onnx(config, params, lengths=True, carry=True), report=report)
    assert "pass them as `lengths`" in str(report)
    assert "initial_c of lstm0 is an input of the model" in str(report)
    assert "the outputs are the model's ys" in str(report)
    for model in (handmade({"layout": 1}), to_onnx(config, params, time_major=False)):
        report = Report()
        from_onnx(model, report=report)
        assert "time_major=False" in str(report)


@pytest.mark.parametrize("given", [["s"], ["s", "Y0"], []])
def test_what_nobody_reads_says_nothing_of_how_directions_are_joined(given):
    model = two([ROWS, JOINED], directions=2)
    nodes, graph = model.graph.node, model.graph
    del nodes[-1], graph.output[:]
    nodes[-1].output[0] = "s"
    nodes.append(helper.make_node("ReduceSum", ["Y0", "axis"], ["u"], keepdims=0))
    graph.initializer.append(onnx.numpy_helper.from_array(ints(1), "axis"))
    if not given:
        nodes.append(helper.make_node("Relu", ["s"], ["relu"]))
    graph.output.extend(helper.make_tensor_value_info(n, FLOAT, None) for n in given or ["relu"])
    report = Report()
    config, _ = from_onnx(model, report=report)
    assert config.layers[0].merge == "concat"
    assert "the outputs are the model's s" in str(report)


def test_states_that_another_lstm_gives():
    model = two([SQUEEZE])
    first, last = model.graph.node[0], model.graph.node[-1]
    first.output.extend(["", "c"])
    assert len(from_onnx(model)[0].layers) == 2
    first.output[1] = "h"
    last.input.extend(["", "h", "c"])
    with pytest.raises(ValueError, match="lstm1: initial_h comes from lstm0, an LSTM of the same"):
        from_onnx(model)
    last.input[0] = "X"
    model.graph.initializer[3].CopyFrom(
        onnx.numpy_helper.from_array(np.ones((1, 16, 5), "float32"), "W1")
    )
    report = Report()
    assert len(from_onnx(model, node="lstm1", report=report)[0].layers) == 1
    assert "initial_h of lstm1 is computed from the output of lstm0" in str(report)


def test_a_stack_has_one_lengths():
    model = to_onnx(
        Config.stack(5, [4, 4]),
        jlstm.init(jax.random.key(0), Config.stack(5, [4, 4])),
        lengths=True,
    )
    next(node for node in model.graph.node if node.name == "lstm1").input[4] = ""
    with pytest.raises(ValueError, match="different sequence_lens, lstm0 lengths, lstm1 none"):
        from_onnx(model)
