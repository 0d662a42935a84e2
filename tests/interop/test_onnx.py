"""Models to and from ONNX."""

import jax
import numpy as np
import pytest
from hypothesis import given

import jlstm
from jlstm import Config, Layer
from jlstm.interop import Report, from_onnx, to_onnx
from tests.interop.frameworks import (
    assert_close,
    assert_fits,
    assert_goes_there_and_back,
    assert_same,
    halved,
    networks,
    random_networks,
)

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
helper = onnx.helper

ANY = networks(
    both=True,
    reverse=True,
    merges=("concat", "sum", "mul", "average"),
    joins=True,
    bias=(True, False),
    peepholes=(False, True),
    coupled_gates=(None, "forget"),
    gate_clip=(None, 0.5),
    activation=("tanh", "relu", "leaky_relu(0.2)"),
    # Steeper gates without bounds let states grow until rounding is all there is to compare.
    recurrent_activation=("sigmoid", "hard_sigmoid(0.2, 0.5)", "affine(0.1, 0.25)"),
    cell_activation=("tanh", "softsign"),
)


def session_of(model):
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_native_nodes_with_free_batch_and_time():
    config = Config.stack(5, [4, 3], bidirectional=True)
    params = jlstm.init(jax.random.key(0), config)
    model = to_onnx(config, params)
    assert [node.op_type for node in model.graph.node].count("LSTM") == 2
    assert not {"Scan", "Loop", "MatMul"} & {node.op_type for node in model.graph.node}
    session = session_of(model)
    for steps, batch in ((1, 1), (7, 2), (3, 5)):
        xs = np.random.default_rng(0).normal(size=(steps, batch, 5)).astype("float32")
        (ys,) = session.run(None, {"xs": xs})
        assert_close(jlstm.apply(config, params, None, xs)[1], ys, atol=1e-5)


@given(ANY)
@random_networks
def test_networks_go_there_and_back_bit_for_bit(call):
    assert_goes_there_and_back(call, to_onnx, from_onnx)


@pytest.mark.parametrize("time_major", [True, False])
@pytest.mark.parametrize("lengths", [True, False])
@given(call=ANY)
@random_networks
def test_onnx_runtime_gives_what_a_network_gives(time_major, lengths, call):
    call = halved(call)
    model = to_onnx(call.config, call.params, lengths=lengths, carry=True, time_major=time_major)
    xs = call.xs if time_major else call.xs.swapaxes(0, 1)
    feeds, times = {"xs": xs}, {}
    if lengths:
        times["lengths"] = feeds["lengths"] = np.array([5, 2, 0], "int32")
    for n, carry in enumerate(call.carry):
        for name in "ch":
            state = getattr(carry, name)
            both = call.config.layers[n].bidirectional
            feeds[f"{name}{n}"] = state if both else state[None]
    session = session_of(model)
    ys, *states = session.run(None, feeds)
    names = [output.name for output in session.get_outputs()][1:]
    states = dict(zip(names, states, strict=True))
    carry, own = jlstm.apply(
        call.config,
        call.params,
        call.carry,
        xs,
        time_major=time_major,
        implementation="scan",
        **times,
    )
    assert_close(own, ys, atol=1e-5)
    for n, layer in enumerate(call.config.layers):
        for name in "ch":
            found = states[f"{name}{n}_last"]
            assert_close(
                getattr(carry[n], name), found if layer.bidirectional else found[0], atol=1e-5
            )


@pytest.mark.parametrize(
    "layers",
    [
        (Layer(5, residual=True), Layer(5, residual=True)),
        (Layer(4), Layer(3, skip=True)),
        (Layer(4), Layer(9, skip=True, residual=True)),
        (Layer(3, bidirectional=True, merge="sum"), Layer(2, skip=True, bidirectional=True)),
        (Layer(4), Layer(3, bidirectional=True, merge="none")),
    ],
)
def test_residual_and_skip_connections_and_unmerged_directions(layers):
    config = Config(5, layers)
    params = jlstm.init(jax.random.key(0), config)
    xs = np.random.default_rng(0).normal(size=(6, 2, 5)).astype("float32")
    model = to_onnx(config, params)
    (ys,) = session_of(model).run(None, {"xs": xs})
    assert_close(jlstm.apply(config, params, None, xs)[1], ys, atol=1e-5)
    back = from_onnx(model)
    assert_fits(back[0], config)
    assert_same(back[1], params)


def handmade(attributes=None, *, initial=None, names=("Y", "Y_h", "Y_c"), count=1, batch=2):
    """A model of one node with random weights, written without this library."""
    draw = np.random.default_rng(0)
    arrays = {
        "W": draw.normal(size=(count, 16, 5)) / 2,
        "R": draw.normal(size=(count, 16, 4)) / 2,
        "B": draw.normal(size=(count, 32)) / 2,
        "P": draw.normal(size=(count, 12)) / 2,
    }
    if initial is not None:
        arrays |= {"h": initial, "c": initial * 2}
    constants = [
        onnx.numpy_helper.from_array(a.astype("float32"), name) for name, a in arrays.items()
    ]
    states = ["h", "c"] if initial is not None else ["", ""]
    node = helper.make_node(
        "LSTM", ["X", "W", "R", "B", "", *states, "P"], names, hidden_size=4, **(attributes or {})
    )
    first = helper.make_tensor_value_info("X", 1, [None, None, 5])
    outputs = [helper.make_tensor_value_info(name, 1, None) for name in names]
    graph = helper.make_graph([node], "g", [first], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


HANDMADE = {
    "plain": {},
    "reverse": {"direction": "reverse"},
    "both": {"direction": "bidirectional"},
    "clip, input_forget": {"clip": 0.4, "input_forget": 1},
    "activations": {
        "activations": ["HardSigmoid", "LeakyRelu", "Affine"],
        "activation_alpha": [0.3, 0.1, 0.8],
        "activation_beta": [0.4, 0.1],
    },
    "activations in lower case, default constants": {
        "activations": ["hardsigmoid", "elu", "softsign"],
    },
}


@pytest.mark.parametrize("name", HANDMADE)
def test_models_of_others(name):
    both = HANDMADE[name].get("direction") == "bidirectional"
    model = handmade(HANDMADE[name], count=2 if both else 1)
    xs = np.random.default_rng(1).normal(size=(6, 2, 5)).astype("float32")
    ys, h, c = session_of(model).run(None, {"X": xs})
    (carry,), own = jlstm.apply(*from_onnx(model), None, xs)
    wanted = np.concatenate(list(ys.swapaxes(0, 1)), -1)
    assert_close((own, carry.h, carry.c), (wanted, h if both else h[0], c if both else c[0]))


def test_constant_initial_states_become_a_learned_initial_carry():
    row = np.random.default_rng(2).normal(size=(1, 1, 4))
    model = handmade(initial=np.repeat(row, 2, 1))
    xs = np.random.default_rng(1).normal(size=(6, 2, 5)).astype("float32")
    ys = session_of(model).run(None, {"X": xs})[0]
    config, params = from_onnx(model)
    assert config.learn_initial_carry
    assert_close(jlstm.apply(config, params, None, xs)[1], ys[:, 0], atol=1e-5)
    with pytest.raises(ValueError, match="differs between sequences"):
        from_onnx(handmade(initial=np.random.default_rng(3).normal(size=(1, 2, 4))))


def test_a_chain_that_torch_exported_would_have_and_one_with_something_between():
    config = Config.stack(5, [4, 3])
    params = jlstm.init(jax.random.key(0), config)
    model = to_onnx(config, params)
    between = helper.make_node("Relu", ["ys0"], ["cut"])
    model.graph.node.insert(2, between)
    model.graph.node[3].input[0] = "cut"
    with pytest.raises(ValueError, match=r"several stacks.*lstm1 reads lstm0 through Relu"):
        from_onnx(model)
    one, _ = from_onnx(model, node="lstm1")
    assert (one.input_size, len(one.layers)) == (4, 1)


def test_batch_first_layout_and_inputs_for_lengths_and_states_are_reported():
    report = Report()
    config = Config.stack(5, [4])
    model = to_onnx(config, jlstm.init(jax.random.key(0), config), lengths=True, carry=True)
    from_onnx(model, report=report)
    assert "pass them as lengths" in str(report)
    assert "initial_c is an input of the model" in str(report)
    report = Report()
    from_onnx(handmade({"layout": 1}), report=report)
    assert "time_major=False" in str(report)


@pytest.mark.parametrize(
    "layer, named",
    [
        (Layer(4, projection_size=2), "projection_size"),
        (Layer(4, cell_clip=1.0), "cell_clip"),
        (Layer(4, coupled_gates="input"), "i = 1 - f"),
        (Layer(4, layer_norm="gates_and_cell"), "layer_norm"),
        (Layer(4, activation="gelu"), "gelu"),
        (Layer(4, zoneout_c=0.1), "zoneout_c"),
    ],
)
def test_what_onnx_lacks_is_refused_by_name(layer, named):
    config = Config(6, (layer,))
    with pytest.raises(ValueError, match=named):
        to_onnx(config, jlstm.init(jax.random.key(0), config))


def test_models_that_cannot_be_read():
    with pytest.raises(ValueError, match="no LSTM node"):
        from_onnx(onnx.ModelProto())
    with pytest.raises(TypeError, match=r"expected an onnx\.ModelProto"):
        from_onnx(3)
    model = handmade()
    model.graph.initializer[1].dims[2] = 3
    with pytest.raises(ValueError, match="R"):
        from_onnx(model)
    with pytest.raises(ValueError, match="Gelu"):
        from_onnx(handmade({"activations": ["Sigmoid", "Gelu", "Tanh"]}))
