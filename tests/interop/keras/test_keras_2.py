"""Live objects of tf_keras, which is Keras 2."""

import numpy as np
import pytest

import jlstm
from jlstm.interop import Report, from_keras
from tests.interop.frameworks import assert_close, assert_same, run
from tests.interop.keras.test_legacy import assert_holds, branches, distinct, weights_of

tf_keras = pytest.importorskip("tf_keras")
L = tf_keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")


def lstm(units, **options):
    return L.LSTM(units, return_sequences=True, **options)


SOURCES = {
    "lstm": lambda: lstm(4),
    "hard sigmoid, no bias": lambda: lstm(4, recurrent_activation="hard_sigmoid", use_bias=False),
    "both ways": lambda: L.Bidirectional(lstm(4, activation="softsign"), merge_mode="ave"),
    "cell": lambda: L.RNN(L.LSTMCell(4), return_sequences=True),
    "stacked cells": lambda: L.RNN([L.LSTMCell(4), L.LSTMCell(3)], return_sequences=True),
    "sequential": lambda: tf_keras.Sequential([lstm(4), L.Dropout(0.5), lstm(3)]),
}


@pytest.mark.parametrize("source", SOURCES)
def test_objects_give_what_they_give(source):
    layer, xs = SOURCES[source](), np.random.default_rng(0).normal(0, 3, (6, 2, 5)).astype("f")
    layer(xs.swapaxes(0, 1))
    distinct(layer)
    config, params = from_keras(layer)
    ys = layer(xs.swapaxes(0, 1)).numpy().swapaxes(0, 1)
    assert_close(run(config, params, xs)[1], ys, atol=1e-5)


def test_a_cell():
    cell = L.LSTMCell(4)
    cell.build((None, 5))
    x = np.random.default_rng(0).normal(size=(2, 5)).astype("f")
    config, params = from_keras(distinct(cell))
    y, (_, c) = cell(x, cell.get_initial_state(batch_size=2, dtype="float32"))
    (carry,), own = jlstm.step(config, params, None, x)
    assert_close((own, carry.c), (y.numpy(), c.numpy()), atol=1e-6)


def test_lstms_of_a_model_are_chosen_by_name():
    model, report = branches(tf_keras), Report()
    with pytest.raises(ValueError, match=r"Functional has several LSTMs.*inner/deep.*layer="):
        from_keras(model)
    for name, arrays in weights_of(model).items():
        layer = "wrapped" if name == "slices" else name
        assert_holds(from_keras(model, layer=layer, report=report)[1], arrays)
    assert "(Dense)" in str(report)


def test_a_list_of_layers_is_a_stack():
    layers = [lstm(4), lstm(3)]
    for layer, size in zip(layers, (5, 4), strict=True):
        layer.build((None, None, size))
    arrays = [array for layer in layers for array in layer.get_weights()]
    assert_holds(from_keras(layers)[1], arrays)


def test_a_model_with_its_own_call():
    class Own(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.lower, self.upper = lstm(4, name="lower"), L.LSTM(3, name="upper")

        def call(self, xs):
            return self.upper(self.lower(xs))

    model = Own()
    model(np.zeros((2, 3, 5), "f"))
    with pytest.raises(ValueError, match=r"lower \(LSTM\), upper \(LSTM\).*layer="):
        from_keras(model)
    assert_holds(from_keras(model, layer=["lower", "upper"])[1], model.get_weights())


def test_layers_of_both_libraries_are_not_mixed():
    keras = pytest.importorskip("keras")
    with pytest.raises(TypeError, match="expected a Keras LSTM"):
        from_keras([keras.layers.LSTM(4), L.LSTM(4)])


def test_functions_under_the_names_of_kerass_own_are_refused():
    def tanh(x):
        return x

    layer = L.LSTM(4, activation=tanh)
    layer.build((None, None, 5))
    with pytest.raises(ValueError, match="function named tanh, but not Keras's"):
        from_keras(layer)


def test_layers_without_weights():
    with pytest.raises(ValueError, match="has no weights yet"):
        from_keras(L.LSTM(4))


def test_classes_of_ones_own_are_refused():
    class LSTM(L.LSTM):
        pass

    layer = LSTM(4)
    layer.build((None, None, 5))
    with pytest.raises(ValueError, match="is a custom class"):
        from_keras(layer)


def test_a_layer_of_keras_3_with_the_same_weights_is_the_same():
    keras = pytest.importorskip("keras")
    old, new = L.LSTM(4), keras.layers.LSTM(4)
    for layer in (old, new):
        layer.build((None, None, 5))
    new.set_weights(distinct(old).get_weights())
    assert_same(from_keras(old)[1], from_keras(new)[1])


@pytest.mark.parametrize("wrap", [lambda layer: layer, L.Bidirectional])
def test_a_time_major_layer(wrap):
    layer, xs = wrap(lstm(4, time_major=True)), np.random.default_rng(0).normal(size=(6, 2, 5))
    ys, report = layer(xs.astype("f")), Report()
    config, params = from_keras(layer, report=report)
    assert_close(run(config, params, xs.astype("f"))[1], ys.numpy(), atol=1e-5)
    assert "time-major" in str(report)
    assert "batch-major" not in str(report)
