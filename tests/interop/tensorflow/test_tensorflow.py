"""Weights to and from TensorFlow 1, by variable name and in checkpoints."""

import jax
import numpy as np
import pytest
from hypothesis import given

from jlstm import Config
from jlstm.interop import (
    Report,
    carry_from_tensorflow,
    from_tensorflow,
    to_tensorflow,
)
from tests.examples import mostly_full
from tests.interop.frameworks import (
    assert_close,
    assert_fits,
    assert_same,
    input_slope,
    networks,
    random_networks,
    run,
    weights_for,
)
from tests.interop.tensorflow.cells import UNITS, below, cells, lstm, tf, unrolled, v1, xs_of

pytestmark = pytest.mark.filterwarnings("ignore")

ANY = networks(
    both=True, projection_size=(None, True), peepholes=(False, True), activations=("tanh", "relu")
)

CELLS = {
    "BasicLSTMCell": (lambda: cells.BasicLSTMCell(UNITS), {}),
    "BasicLSTMCell, forget bias 0": (
        lambda: cells.BasicLSTMCell(UNITS, forget_bias=0.0),
        {"forget_bias": 0.0},
    ),
    "BasicLSTMCell, relu": (
        lambda: cells.BasicLSTMCell(UNITS, activation=tf.nn.relu),
        {"activation": "relu"},
    ),
    "LSTMCell": (lambda: cells.LSTMCell(UNITS), {}),
    "LSTMCell, peepholes": (lambda: cells.LSTMCell(UNITS, use_peepholes=True), {}),
    "LSTMCell, projection": (lambda: cells.LSTMCell(UNITS, num_proj=3), {}),
    "LSTMCell, all": (
        lambda: cells.LSTMCell(
            UNITS, use_peepholes=True, num_proj=3, cell_clip=0.4, proj_clip=0.2, forget_bias=0.5
        ),
        {"cell_clip": 0.4, "projection_clip": 0.2, "forget_bias": 0.5},
    ),
    "MultiRNNCell": (
        lambda: cells.MultiRNNCell([cells.LSTMCell(n, num_proj=2) for n in (4, 3, 5)]),
        {},
    ),
    "twelve layers": (
        lambda: cells.MultiRNNCell([cells.BasicLSTMCell(3) for _ in range(12)]),
        {},
    ),
}


@pytest.mark.parametrize("name", mostly_full(list(CELLS), [n for n in CELLS if "twelve" not in n]))
def test_cells_of_tensorflow(name, session, tmp_path):
    make, options = CELLS[name]
    xs = xs_of()
    ys, state, values = unrolled(session, make(), xs)
    config, params = from_tensorflow(values, **options)
    wanted = carry_from_tensorflow(config, jax.tree.map(np.asarray, tuple(state)))
    assert_close(run(config, params, xs), (wanted, ys), atol=1e-5)

    path = v1.train.Saver().save(session, str(tmp_path / "model"))
    again = from_tensorflow(path, **options)
    assert again[0] == config
    assert_same(again[1], params)


@given(ANY)
@random_networks
def test_networks_go_there_and_back_bit_for_bit(call):
    made = to_tensorflow(call.config, call.params, forget_bias=0.0)
    layer = call.config.layers[0]
    config, params = from_tensorflow(made, forget_bias=0.0, activation=layer.activation)
    if len({own.activation for own in call.config.layers}) == 1:
        assert_fits(config, call.config)
    assert_same(params, jax.tree.map(jax.numpy.asarray, call.params))


@pytest.mark.full
@given(
    networks(projection_size=(None, True), peepholes=(False, True), cell_clip=(None, 0.4), most=2)
)
@random_networks
def test_tensorflow_gives_what_a_network_gives(call):
    def cell(layer):
        return cells.LSTMCell(
            layer.hidden_size,
            num_proj=layer.projection_size,
            use_peepholes=layer.peepholes,
            cell_clip=layer.cell_clip,
        )

    call = call._replace(params=jax.tree.map(lambda a: a / 2, call.params))
    values = to_tensorflow(call.config, call.params)
    with tf.Graph().as_default(), v1.Session() as session:
        many = [cell(layer) for layer in call.config.layers]
        xs = tf.constant(call.xs)
        ys, state = v1.nn.dynamic_rnn(
            cells.MultiRNNCell(many) if len(many) > 1 else many[0],
            xs,
            dtype=tf.float32,
            time_major=True,
        )
        weights = weights_for(ys.shape.as_list())
        (slope,) = v1.gradients(tf.reduce_sum(ys * weights), [xs])
        for variable in v1.trainable_variables():
            variable.load(values[variable.name.removesuffix(":0")], session)
        ys, state, slope = session.run((ys, state, slope))
    wanted = carry_from_tensorflow(call.config, jax.tree.map(np.asarray, tuple(state)))
    assert_close(run(call.config, call.params, call.xs), (wanted, ys), atol=1e-5)
    if all(layer.cell_clip is None for layer in call.config.layers):  # TensorFlow's has no slope 0
        assert_close(input_slope(call.config, call.params, call.xs), slope, atol=1e-5)


def test_a_forget_bias_is_folded_in_and_taken_out():
    bias = np.arange(16, dtype="float32")
    kernel = np.random.default_rng(0).normal(size=(9, 16)).astype("float32")
    names = {"lstm_cell/kernel": kernel, "lstm_cell/bias": bias}
    report = Report()
    config, params = from_tensorflow(names, report=report)
    b = params.layers[0].b
    np.testing.assert_array_equal(b, [*range(4), *range(9, 13), *range(4, 8), *range(12, 16)])
    assert "1, which cells add to the forget gate" in str(report)
    made = to_tensorflow(config, params, scope="", report=(report := Report()))
    assert "1 was subtracted from the forget gate's bias" in str(report)
    np.testing.assert_array_equal(made["lstm_cell/bias"], bias)
    np.testing.assert_array_equal(made["lstm_cell/kernel"], kernel)


def test_the_saved_form_of_cudnn_lstm_has_no_forget_bias_and_two_directions():
    draw = np.random.default_rng(0)
    names = {}
    for n, inputs in enumerate((5, 8)):
        for way in ("fw", "bw"):
            prefix = f"cudnn_lstm/stack_bidirectional_rnn/cell_{n}/bidirectional_rnn/{way}"
            prefix += "/cudnn_compatible_lstm_cell"
            names[f"{prefix}/kernel"] = draw.normal(size=(inputs + 4, 16)).astype("float32")
            names[f"{prefix}/bias"] = draw.normal(size=16).astype("float32")
    config, params = from_tensorflow(names)
    assert config.input_sizes == (5, 8)
    assert all(layer.bidirectional for layer in config.layers)
    i, g, f, o = np.split(names[prefix + "/bias"], 4)
    np.testing.assert_array_equal(params.layers[1].b[1], np.concatenate([i, f, g, o]))


def test_both_directions_of_tensorflow(session):
    xs = xs_of()
    ys, _ = v1.nn.bidirectional_dynamic_rnn(
        cells.LSTMCell(4), cells.LSTMCell(4), tf.constant(xs), dtype=tf.float32, time_major=True
    )
    draw = np.random.default_rng(1)
    for variable in v1.trainable_variables():
        session.run(v1.assign(variable, draw.normal(size=variable.shape.as_list()) / 2))
    values = {v.name: session.run(v) for v in v1.trainable_variables()}
    config, params = from_tensorflow(values)
    wanted = np.concatenate(session.run(ys), -1)
    assert_close(run(config, params, xs)[1], wanted, atol=1e-5)


def test_optimisers_and_other_variables_are_left_alone():
    draw = np.random.default_rng(0)
    names = {
        "rnn/lstm_cell/kernel": draw.normal(size=(9, 16)).astype("float32"),
        "rnn/lstm_cell/bias": draw.normal(size=16).astype("float32"),
        "rnn/lstm_cell/kernel/Adam": np.zeros((9, 16), "float32"),
        "rnn/lstm_cell/kernel/Adam_1": np.zeros((9, 16), "float32"),
        "logits/kernel": np.zeros((4, 2), "float32"),
        "global_step": np.zeros((), "int64"),
    }
    config, _ = from_tensorflow(names, report=(report := Report()))
    assert config == Config.stack(5, [4])
    assert "left out, as no variables of these cells: global_step, logits/kernel\n" in str(report)


def test_a_clip_of_projections_is_none_of_the_layers_without_one(session):
    kinds = [cells.LSTMCell(4, num_proj=2, proj_clip=0.1), cells.LSTMCell(3, proj_clip=0.1)]
    xs = xs_of()
    ys, _, values = unrolled(session, cells.MultiRNNCell(kinds), xs)
    config, params = from_tensorflow(values, projection_clip=0.1, report=(report := Report()))
    assert [layer.projection_clip for layer in config.layers] == [0.1, None]
    assert "layer 1 has no projection, so projection_clip" in str(report)
    assert_close(run(config, params, xs)[1], ys, atol=1e-5)
    with pytest.raises(ValueError, match="projection_clip"):
        from_tensorflow(below(rnn__lstm_cell=lstm(5)), projection_clip=0.1)


def test_zeros_in_a_packed_archive_are_read(tmp_path):
    own = {"kernel": lstm(5, 1024)["kernel"], "bias": np.zeros(4096, "float32")}
    np.savez_compressed(tmp_path / "a.npz", **below(lstm_cell=own))
    assert from_tensorflow(tmp_path / "a.npz")[0] == Config.stack(5, [1024])


@pytest.mark.parametrize(
    ("dtype", "forget", "words"),
    [
        ("float32", 1e39, r"forget_bias is 1e\+39; expected a number from -3.38e\+38 to 3.38e\+38"),
        ("float16", 1e5, r"forget_bias is 100000, which is infinite in the biases' dtype, float16"),
    ],
)
def test_a_forget_bias_that_would_be_infinite_is_refused(dtype, forget, words, tmp_path):
    arrays = {"lstm_cell/kernel": np.ones((9, 16), dtype), "lstm_cell/bias": np.ones(16, dtype)}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=words):
        from_tensorflow(tmp_path / "a.npz", forget_bias=forget)
