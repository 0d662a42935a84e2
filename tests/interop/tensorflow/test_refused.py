"""Variables of TensorFlow that are no LSTM cells: each is refused by name, with advice."""

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Config
from jlstm.interop import from_cudnn, from_keras, from_tensorflow, to_tensorflow
from tests.interop.frameworks import assert_close, run
from tests.interop.tensorflow.cells import (
    INPUTS,
    UNITS,
    below,
    cells,
    lstm,
    tf,
    unrolled,
    v1,
    xs_of,
)

tf_keras = pytest.importorskip("tf_keras")

pytestmark = pytest.mark.filterwarnings("ignore")


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
