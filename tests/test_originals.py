"""The tutorial's two steps beside the LSTMs they first ran on, with the same weights."""

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Carry, Config
from tests.networks import make_call

pytestmark = pytest.mark.filterwarnings("ignore")

X = np.array([[3, 2, 2, 2, 2, 2]], "float32")
XS = np.array(
    [
        [[1, 2, 3, 4, 3, 2], [1, 2, 1, 1, 1, 2], [1, 2, 2, 2, 2, 2]],
        [[1, 2, 3, 4, 3, 2], [3, 2, 2, 1, 1, 2], [0, 0, 0, 0, 3, 2]],
    ],
    "float32",
)
STACK = Config.stack(6, [4, 5])
CELL = Config.stack(6, [4])


def params_of(config):
    """Distinct weights, halved so that no gate saturates."""
    return jax.tree.map(lambda a: a / 2, make_call(config, 1, (1,), 0).params)


def carry_of(config, batch):
    return make_call(config, 1, (batch,), 3).carry


def close(seen, wanted):
    for a, b in zip(jax.tree.leaves(seen), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def tf():
    reason = "pip install tf_keras, which brings TensorFlow"
    tf = pytest.importorskip("tensorflow", reason=reason)
    pytest.importorskip("tf_keras", reason=reason)
    return tf.compat.v1


def tf_kernel(layer):
    """Kernel [I+H, 4H] and bias [4H] in TensorFlow 1's order i, g, f, o.

    Its cell adds a forget bias of 1 at every step, which this library has in its bias.
    """
    kernel = np.concatenate([layer.w_x, layer.w_h])
    i, f, g, o = np.split(kernel, 4, axis=1)
    b_i, b_f, b_g, b_o = np.split(layer.b, 4)
    return np.concatenate([i, g, f, o], 1), np.concatenate([b_i, b_g, b_f - 1, b_o])


def in_tf(tf, params, build):
    """What `build` returns, evaluated with the weights of `params` in its variables."""
    with tf.Graph().as_default(), tf.Session() as session:
        out = build()
        weights = [a for layer in params.layers for a in tf_kernel(layer)]
        variables = tf.trainable_variables()
        assert [v.shape for v in variables] == [a.shape for a in weights]
        for variable, a in zip(variables, weights, strict=True):
            variable.load(a, session)
        return session.run(out)


def tf_state(tf, carry):
    return tuple(tf.nn.rnn_cell.LSTMStateTuple(tf.constant(s.c), tf.constant(s.h)) for s in carry)


@pytest.mark.parametrize("start", ["zero", "random"])
def test_one_step_is_that_of_basic_lstm_cell(tf, start):
    params = params_of(CELL)
    carry = jlstm.initial_carry(CELL, batch_shape=(1,)) if start == "zero" else carry_of(CELL, 1)
    (seen,), y = jlstm.step(CELL, params, carry, X)

    def build():
        (state,) = tf_state(tf, jax.tree.map(np.asarray, carry))
        return tf.nn.rnn_cell.BasicLSTMCell(4)(tf.constant(X), state)

    output, state = in_tf(tf, params, build)
    close((seen.c, seen.h, y), (state[0], state[1], output))
    np.testing.assert_array_equal(y, seen.h)


@pytest.mark.parametrize("lengths", [None, [3, 1], [0, 2]])
def test_a_stack_is_a_dynamic_rnn_over_a_multi_rnn_cell(tf, lengths):
    params, carry = params_of(STACK), carry_of(STACK, 2)
    given = None if lengths is None else np.array(lengths)
    seen, ys = jlstm.apply(STACK, params, carry, XS, lengths=given, time_major=False)

    def build():
        cells = [tf.nn.rnn_cell.BasicLSTMCell(units) for units in (4, 5)]
        return tf.nn.dynamic_rnn(
            tf.nn.rnn_cell.MultiRNNCell(cells),
            tf.constant(XS),
            sequence_length=lengths,
            initial_state=tf_state(tf, carry),
        )

    outputs, states = in_tf(tf, params, build)
    assert ys.shape == (2, 3, 5)
    close((seen, ys), (tuple(Carry(*state) for state in states), outputs))


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras", minversion="3", reason="pip install 'keras>=3'")


def keras_weights(layer):
    """Keras has this library's layout; its forget bias is in the bias, too."""
    return [layer.w_x, layer.w_h, layer.b]


def keras_state(carry):
    return [[np.asarray(one.h), np.asarray(one.c)] for one in carry]


def test_one_step_is_that_of_the_keras_cell(keras):
    params, carry = params_of(CELL), carry_of(CELL, 1)
    cell = keras.layers.LSTMCell(4)
    cell.build(X.shape)
    cell.set_weights(keras_weights(params.layers[0]))
    output, (h, c) = cell(X, keras_state(carry)[0])
    (seen,), y = jlstm.step(CELL, params, carry, X)
    close((seen.c, seen.h, y), (c, h, output))


def stacked(keras, params):
    cells = keras.layers.StackedRNNCells([keras.layers.LSTMCell(units) for units in (4, 5)])
    rnn = keras.layers.RNN(cells, return_sequences=True, return_state=True)
    rnn.build(XS.shape)
    rnn.set_weights([a for layer in params.layers for a in keras_weights(layer)])
    return cells, rnn


def test_a_step_of_a_stack_is_that_of_stacked_rnn_cells(keras):
    params, carry = params_of(STACK), carry_of(STACK, 2)
    cells, _ = stacked(keras, params)
    output, states = cells(XS[:, 0], keras_state(carry))
    seen, y = jlstm.step(STACK, params, carry, XS[:, 0])
    close((y, seen), (output, tuple(Carry(c, h) for h, c in states)))


@pytest.mark.parametrize("start", ["zero", "random"])
def test_a_stack_is_a_keras_rnn(keras, start):
    params, carry = params_of(STACK), None
    options = {}
    if start == "random":
        carry = carry_of(STACK, 2)
        options["initial_state"] = keras_state(carry)
    _, rnn = stacked(keras, params)
    outputs, *states = rnn(XS, **options)
    seen, ys = jlstm.apply(STACK, params, carry, XS, time_major=False)
    close((ys, seen), (outputs, tuple(Carry(c, h) for h, c in states)))
