"""Weights to and from TensorFlow 1, by variable name and in checkpoints."""

import re

import jax
import numpy as np
import pytest
from hypothesis import given

import jlstm
from jlstm import Carry, Config, Layer
from jlstm.interop import (
    Report,
    carry_from_tensorflow,
    carry_to_tensorflow,
    from_cudnn,
    from_keras,
    from_tensorflow,
    to_tensorflow,
)
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

tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")
v1 = tf.compat.v1
cells = v1.nn.rnn_cell

pytestmark = pytest.mark.filterwarnings("ignore")

ANY = networks(
    both=True, projection_size=(None, True), peepholes=(False, True), activations=("tanh", "relu")
)
UNITS, INPUTS, STEPS, BATCH = 4, 5, 6, 3

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


@pytest.fixture
def session():
    with tf.Graph().as_default(), v1.Session() as session:
        yield session


def unrolled(session, cell, xs, **options):
    """Outputs, last state, and the variables with random values."""
    ys, state = v1.nn.dynamic_rnn(
        cell, tf.constant(xs), dtype=tf.float32, time_major=True, **options
    )
    draw = np.random.default_rng(1)
    for variable in v1.trainable_variables():
        value = draw.normal(size=variable.shape.as_list()).astype("float32") / 2
        session.run(v1.assign(variable, value))
    values = {v.name: session.run(v) for v in v1.trainable_variables()}
    return *session.run((ys, state)), values


def xs_of():
    return np.random.default_rng(0).normal(size=(STEPS, BATCH, INPUTS)).astype("float32")


@pytest.mark.parametrize("name", CELLS)
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


def lstm(inputs, units=4, seed=0):
    """A kernel and a bias."""
    draw = np.random.default_rng(seed)
    kernel = draw.normal(size=(inputs + units, 4 * units)).astype("float32")
    return {"kernel": kernel, "bias": draw.normal(size=4 * units).astype("float32")}


def below(**cells):
    """Arrays by whole names; two underscores stand for a slash."""
    return {
        f"{name.replace('__', '/')}/{last}": array
        for name, own in cells.items()
        for last, array in own.items()
    }


APART = [
    below(encoder__rnn__lstm_cell=lstm(5), decoder__rnn__lstm_cell=lstm(4)),
    below(rnn__lstm_cell=lstm(5), rnn_1__lstm_cell=lstm(4)),
    below(rnn__lstm_cell=lstm(5), rnn__lstm_cell_1=lstm(4)),
    below(
        a__multi_rnn_cell__cell_0__lstm_cell=lstm(5), b__multi_rnn_cell__cell_1__lstm_cell=lstm(4)
    ),
]


@pytest.mark.parametrize("names", APART)
def test_networks_apart_are_not_stacked_unless_asked_for(names):
    with pytest.raises(ValueError, match=r"several LSTMs.*choose one: scope="):
        from_tensorflow(names)
    prefixes = [name.rpartition("/")[0] for name in names][::2]
    for prefix, inputs in zip(prefixes, (5, 4), strict=True):
        assert from_tensorflow(names, scope=prefix)[0] == Config.stack(inputs, [4])
    assert from_tensorflow(names, scope=prefixes)[0] == Config.stack(5, [4, 4])


def test_a_scope_is_whole_parts_of_a_path():
    names = below(encoder__lstm_cell=lstm(5), encoder2__lstm_cell=lstm(4))
    for scope in ("encoder", "encoder/", "encoder/lstm_cell"):
        assert from_tensorflow(names, scope=scope)[0].input_size == 5
    with pytest.raises(ValueError, match=r"no LSTM cell.*below 'enc'"):
        from_tensorflow(names, scope="enc")


def dense(units=4):
    return {"weights": np.zeros((8, units), "float32"), "biases": np.zeros(units, "float32")}


@pytest.mark.parametrize("place", ["lstm_o", "lstm_o/rnn/lstm_out", "cell_out"])
@pytest.mark.parametrize("names", [("kernel", "bias"), ("weights", "biases")])
def test_a_dense_layer_beside_a_cell_is_left_alone(place, names):
    """Also beside a cell of TensorFlow before 1.2, whose variables have the same names."""
    own = dict(zip(names, lstm(5).values(), strict=True))
    cell = below(lstm_o__rnn__basic_lstm_cell=own)
    wanted = from_tensorflow(cell)[1]
    beside = cell | {f"{place}/{last}": a for last, a in dense().items()}
    for scope in ("", "lstm_o", "lstm_o/rnn/", "lstm_o/rnn/basic_lstm_cell"):
        assert_same(from_tensorflow(beside, scope=scope)[1], wanted)


def test_weights_and_biases_alone_are_a_cells():
    own = dict(zip(("weights", "biases"), lstm(5).values(), strict=True))
    for scope in ("", "my_lstm"):
        assert from_tensorflow(below(my_lstm=own), scope=scope)[0] == Config.stack(5, [4])


@pytest.mark.parametrize("outer", ["attention_cell", "lstm_o", "lstm"])
@pytest.mark.parametrize("other", ["{0}", "lstm_dense"])
def test_the_scope_of_the_advice_works(outer, other):
    names = below(**{other.format(outer): lstm(3), f"{outer}__rnn__lstm_cell": lstm(5)})
    for scope in ("", outer) if other == "{0}" else ("",):
        with pytest.raises(ValueError, match="several LSTMs") as refusal:
            from_tensorflow(names, scope=scope)
        advised = re.search('scope="(.*?)"', str(refusal.value))[1]
        assert from_tensorflow(names, scope=advised)[0] == Config.stack(5, [4])


def test_a_vector_of_cudnn_is_refused_with_advice_that_works():
    from tf_keras.src.layers.rnn import gru_lstm_utils

    draw = np.random.default_rng(0)
    own = tf_keras.layers.LSTM(UNITS)
    own.build((None, None, INPUTS))
    own.set_weights([draw.normal(size=v.shape).astype("float32") for v in own.weights])
    w_x, w_h, bias = (variable.numpy() for variable in own.weights)
    vector = gru_lstm_utils.canonical_to_params(
        [*tf.split(w_x, 4, axis=1), *tf.split(w_h, 4, axis=1)],
        tf.split(tf.concat([tf.zeros_like(bias), bias], 0), 8),
        shape=tf.constant([-1]),
        transpose_weights=True,
    ).numpy()
    names = {"cudnn_lstm/opaque_kernel": vector, "cudnn_lstm/opaque_kernel/Adam": vector}
    for scope in ("", "cudnn_lstm"):
        with pytest.raises(ValueError, match=r"cudnn_lstm/opaque_kernel is the vector.*from_cudnn"):
            from_tensorflow(names, scope=scope)
    config, params = from_cudnn(vector, INPUTS, UNITS, 1, False)
    xs = xs_of()
    wanted = own(np.swapaxes(xs, 0, 1))
    assert_close(run(config, params, xs)[1][-1], wanted.numpy(), atol=1e-5)
    both = names | below(cudnn_lstm__cell_0__cudnn_compatible_lstm_cell=lstm(5))
    assert from_tensorflow(both)[0].input_size == 5


def test_a_cell_with_variables_below_it_is_refused(session, tmp_path):
    """A cell of one's own that normalises, under the name of a plain one."""

    class Normalised(cells.LSTMCell):
        def call(self, inputs, state):
            ys, state = super().call(inputs, state)
            with v1.variable_scope("output"):
                return ys * v1.get_variable("gamma", [UNITS]), state

    _, _, values = unrolled(session, Normalised(UNITS, name="lstm_cell"), xs_of())
    path = v1.train.Saver().save(session, str(tmp_path / "model"))
    for source in (values, path):
        for scope in ("", "rnn", "rnn/lstm_cell", ["rnn"]):
            with pytest.raises(ValueError, match=r"also holds rnn/lstm_cell/output/gamma, which"):
                from_tensorflow(source, scope=scope)
    plain = {name: a for name, a in values.items() if "gamma" not in name}
    assert from_tensorflow(plain)[0] == Config.stack(INPUTS, [UNITS])


@pytest.mark.parametrize("below_it", ["layer_norm_i/gamma", "projection/norm/g", "in/kernel"])
@pytest.mark.parametrize("cell", ["lstm", "rnn/cell_0/lstm_cell", ""])
def test_variables_below_a_cell_are_refused_and_those_beside_it_are_not(cell, below_it):
    start = f"{cell}/" if cell else ""
    names = {f"{start}{last}": a for last, a in lstm(5).items()}
    slots = {f"{start}kernel/{last}": np.zeros(3) for last in ("Adam_1", "ema/Adam", "a/b/c")}
    beside = {"lstmish/gamma": np.zeros(4), "a/gamma": np.zeros(4)} if cell else {}
    assert from_tensorflow(names | slots | beside)[0] == Config.stack(5, [4])
    with pytest.raises(ValueError, match=f"also holds {start}{below_it}, which no LSTM cell has"):
        from_tensorflow(names | slots | beside | {f"{start}{below_it}": np.ones(4)})


@pytest.mark.parametrize("scopes", [["b", "b"], ["b", "b/lstm_cell"], ["b/", "b"], ["", "b"]])
def test_a_list_of_scopes_has_each_cell_once(scopes):
    with pytest.raises(ValueError, match=r"scope has a cell twice: \['b/lstm_cell', 'b/lstm_"):
        from_tensorflow(below(b__lstm_cell=lstm(4)), scope=scopes)


@pytest.mark.parametrize("same", ["kernel:0", "weights"])
def test_two_arrays_for_one_weight_are_refused(same):
    names = below(lstm_cell=lstm(5) | {same: lstm(5, seed=1)["kernel"]})
    words = f"lstm_cell/kernel and lstm_cell/{same} are both the kernel of lstm_cell"
    with pytest.raises(ValueError, match=words):
        from_tensorflow(names)


def test_a_layer_of_keras_in_a_checkpoint_is_refused_with_advice_that_works(session, tmp_path):
    xs = xs_of()
    layer = tf_keras.layers.LSTM(UNITS, return_sequences=True, bias_initializer="uniform")
    ys = layer(tf.constant(np.swapaxes(xs, 0, 1)))
    session.run(v1.global_variables_initializer())
    path = v1.train.Saver().save(session, str(tmp_path / "model"))
    with pytest.raises(ValueError, match=r"is a layer of Keras.*from_keras\(path\)"):
        from_tensorflow(path)
    wanted = np.swapaxes(session.run(ys), 0, 1)
    assert_close(run(*from_keras(path), xs)[1], wanted, atol=1e-5)


def test_a_direction_alone_runs_its_own_way():
    names = below(
        bidirectional_rnn__fw__lstm_cell=lstm(5), bidirectional_rnn__bw__lstm_cell=lstm(5, seed=1)
    )
    for way in ("fw", "bw"):
        scope = f"bidirectional_rnn/{way}"
        config, params = from_tensorflow(names, scope=scope, report=(report := Report()))
        assert config.layers[0].reverse == (way == "bw")
        assert ("bw/lstm_cell is a cell bw without fw: layer 0" in str(report)) == (way == "bw")
        both = from_tensorflow(names)[1].layers[0]
        assert_same(params.layers[0].w_x, both.w_x[int(way == "bw")])


def test_a_stack_of_each_direction_is_not_a_stack_of_both():
    names = {}
    for way in ("fw", "bw"):
        for n, inputs in enumerate((5, 8)):
            cell = f"bidirectional_rnn/{way}/multi_rnn_cell/cell_{n}/lstm_cell"
            names |= below(**{cell.replace("/", "__"): lstm(inputs)})
    with pytest.raises(ValueError, match=r'do not read the other.*="bidirectional_rnn/bw/multi'):
        from_tensorflow(names)


KERAS = below(lstm=lstm(5) | {"recurrent_kernel": np.zeros((4, 16), "float32")})
OTHERS = [
    (KERAS, "is a layer of Keras.*from_keras"),
    (below(rnn__basic_rnn_cell=lstm(5)), "not an LSTM cell by its name"),
    (below(rnn__layer_norm_basic_lstm_cell=lstm(5)), "not an LSTM cell by its name"),
    (below(rnn__lstm_cell=lstm(5) | {"gamma": np.zeros(4)}), "has gamma, which no LSTM cell has"),
    (below(rnn__gru_cell__gates=lstm(5)), "no LSTM cell"),
    (below(rnn__coupled_input_forget_gate_lstm_cell=lstm(5)), "not an LSTM cell by its name"),
    ({"rnn/lstm_cell/kernel": lstm(5)["kernel"]}, "has no bias"),
    (below(rnn__cell_1__lstm_cell=lstm(5)), r"the cells \[1\]; expected 0, 1, 2"),
    (below(rnn__dense=lstm(5)), "no LSTM cell"),
    (
        {"rnn/lstm_cell/kernel": np.float32(1), "rnn/lstm_cell/bias": np.ones(16)},
        r"rnn/lstm_cell/kernel has shape \[\]",
    ),
    (below(rnn__lstm_cell=lstm(5) | {"bias": np.float32(1)}), r"shape \[\]"),
    (
        below(rnn__lstm_cell=lstm(5) | {"w_i_diag": np.zeros(4)}),
        "1 peephole weights; expected three",
    ),
    (below(rnn__lstm_cell=lstm(5) | {"projection/kernel": np.zeros(4)}), "expected \\[H, P\\]"),
]


@pytest.mark.parametrize(("names", "words"), OTHERS)
def test_what_is_no_lstm_cell_is_refused_by_name(names, words):
    with pytest.raises(ValueError, match=words):
        from_tensorflow(names)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scope": []}, "scope is an empty list"),
        ({"scope": None}, "scope holds None; expected the scope of the cells"),
        ({"scope": 3}, "scope holds 3"),
        ({"scope": ["rnn", 3]}, "scope holds 3"),
        ({"forget_bias": "1"}, "forget_bias is '1'; expected a number"),
        ({"cell_clip": "1"}, "cell_clip is '1'"),
    ],
)
def test_options_of_other_types(options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        from_tensorflow(below(rnn__lstm_cell=lstm(5)), **options)


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


@pytest.mark.parametrize("parts", [None, 2])
def test_variables_in_slices_are_refused_where_they_are_an_lstms(session, parts, tmp_path):
    slices = v1.fixed_size_partitioner
    v1.get_variable("embedding", (10, 4), partitioner=slices(3))
    with v1.variable_scope("", partitioner=parts and slices(parts)):
        v1.nn.dynamic_rnn(cells.LSTMCell(4), tf.constant(xs_of()), dtype=tf.float32)
    session.run(v1.global_variables_initializer())
    path = v1.train.Saver().save(session, str(tmp_path / "model"))
    if not parts:
        assert from_tensorflow(path)[0] == Config.stack(5, [4])
        return
    with pytest.raises(ValueError, match=r"model: rnn/lstm_cell/\w+ is saved in slices"):
        from_tensorflow(path)


def test_zeros_in_a_packed_archive_are_read(tmp_path):
    own = {"kernel": lstm(5, 1024)["kernel"], "bias": np.zeros(4096, "float32")}
    np.savez_compressed(tmp_path / "a.npz", **below(lstm_cell=own))
    assert from_tensorflow(tmp_path / "a.npz")[0] == Config.stack(5, [1024])


def test_names_of_a_file_are_printed_without_control_characters(tmp_path):
    np.savez(tmp_path / "a.npz", **{"\x1b[31m/lstm_cell/kernel": lstm(5)["kernel"]})
    with pytest.raises(ValueError, match=r"\\x1b\[31m/lstm_cell has no bias") as refusal:
        from_tensorflow(tmp_path / "a.npz")
    assert str(refusal.value).isprintable()


def test_checkpoints_of_tensorflow_2_are_refused_by_name(tmp_path):
    kernel = tf.Variable(np.zeros((9, 16), "float32"))
    path = tf.train.Checkpoint(lstm_cell=kernel).save(str(tmp_path / "model"))
    with pytest.raises(ValueError, match=r"checkpoint of TensorFlow 2 .*from_keras"):
        from_tensorflow(path)


@pytest.mark.parametrize(
    "state", [np.zeros((2, 5)), np.float32(1), [np.zeros((2, 8))] * 3, [], ["c", "h"], None]
)
def test_states_that_do_not_fit(state):
    with pytest.raises((ValueError, TypeError), match="expected"):
        carry_from_tensorflow(Config.stack(5, [4]), state)


def test_states_are_tuples_or_not():
    config = Config(5, (Layer(4, projection_size=2), Layer(5)))
    carry = tuple(
        Carry(np.full((2, c), c, "float32"), np.full((2, h), h + 10, "float32"))
        for c, h in ((4, 2), (5, 5))
    )
    for state_is_tuple in (True, False):
        state = carry_to_tensorflow(carry, state_is_tuple=state_is_tuple)
        assert_close(carry_from_tensorflow(config, state), carry, atol=0)
    each = [np.concatenate(own, -1) for own in carry]
    assert_close(carry_from_tensorflow(config, each), carry, atol=0)
    with pytest.raises(ValueError, match="features"):
        carry_from_tensorflow(config, each[::-1])


def test_states_of_two_directions_are_refused_as_they_come_from_no_state():
    carry = (Carry(np.zeros((2, 3, 4)), np.zeros((2, 3, 4))),)
    with pytest.raises(ValueError, match=r"layer 0 has shape \[2, 3, 4\].*one state per direction"):
        carry_to_tensorflow(carry)


def test_state_is_tuple_false_in_tensorflow(session):
    xs = xs_of()
    ys, state, values = unrolled(session, cells.BasicLSTMCell(UNITS, state_is_tuple=False), xs)
    config, params = from_tensorflow(values)
    carry, own = run(config, params, xs)
    assert_close((carry, own), (carry_from_tensorflow(config, state), ys), atol=1e-5)


def test_what_is_no_cell_is_refused():
    with pytest.raises(ValueError, match="no LSTM cell"):
        from_tensorflow({"dense/kernel": np.zeros((3, 4), "float32")})
    with pytest.raises(ValueError, match="the input's rows above the state's rows"):
        from_tensorflow(below(lstm_cell={"kernel": np.zeros((3, 16)), "bias": np.zeros(16)}))
    with pytest.raises(TypeError, match="expected arrays by variable name"):
        from_tensorflow(3)
    config = Config.stack(5, [4], coupled_gates="input")
    with pytest.raises(ValueError, match="coupled_gates"):
        to_tensorflow(config, jlstm.init(jax.random.key(0), config))


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
