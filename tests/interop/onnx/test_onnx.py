"""Models to and from ONNX."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer
from jlstm.interop import from_onnx, to_onnx
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


@given(time_major=st.booleans(), lengths=st.booleans(), call=ANY)
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
