"""Weights to and from Keras 3."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given

import jlstm
from jlstm import Config, Layer
from jlstm.interop import Report, from_keras, to_keras
from tests.examples import mostly_full
from tests.interop.frameworks import (
    KERAS_ACTIVATIONS,
    assert_close,
    assert_goes_there_and_back,
    assert_same,
    halved,
    input_slope,
    networks,
    random_networks,
    run,
    weighted,
)

keras = pytest.importorskip("keras")
L = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")

ANY = networks(
    both=True,
    merges=("concat", "sum", "mul", "average"),
    bias=(True, False),
    activations=KERAS_ACTIVATIONS,
    recurrent_activation=("sigmoid", "hard_sigmoid"),
)


def xs_for(size, steps=6):
    return np.random.default_rng(0).normal(size=(steps, 2, size)).astype("float32")


def distinct(model):
    """The model with random weights all over, its biases too."""
    draw = np.random.default_rng(1)
    model.set_weights(
        [draw.normal(size=a.shape).astype("float32") / 2 for a in model.get_weights()]
    )
    return model


def assert_agrees(source, model, xs):
    """Outputs, and gradients for the input, of a model and of what is read from `source`."""
    assert_gives(*from_keras(source), model, xs)


def assert_gives(config, params, model, xs):
    weights = [v.value for v in model.trainable_variables]
    state = [v.value for v in model.non_trainable_variables]

    def theirs(xs):
        ys, _ = model.stateless_call(weights, state, xs.swapaxes(0, 1))
        return ys.swapaxes(0, 1)

    assert_close(run(config, params, xs)[1], theirs(xs), atol=1e-5)
    slope = jax.grad(lambda xs: weighted(theirs(xs)))(xs)
    assert_close(input_slope(config, params, xs), slope, atol=1e-5)


@given(ANY)
@random_networks
def test_networks_go_there_and_back_bit_for_bit(call):
    assert_goes_there_and_back(call, to_keras, from_keras)


@pytest.mark.full
@given(ANY)
@random_networks
def test_keras_gives_what_a_network_gives(call):
    call = halved(call)
    model = to_keras(call.config, call.params)
    model.build((None, None, call.config.input_size))
    assert_gives(call.config, call.params, model, call.xs)


def sequences(*layers):
    model = keras.Sequential([keras.Input((None, 5)), *layers])
    return distinct(model)


def lstm(units, **options):
    return L.LSTM(units, return_sequences=True, **options)


SOURCES = {
    "lstm": lambda: sequences(lstm(4)),
    "no bias": lambda: sequences(lstm(4, use_bias=False)),
    "activations": lambda: sequences(
        lstm(4, activation="softsign", recurrent_activation="hard_sigmoid")
    ),
    "stack": lambda: sequences(lstm(4), lstm(3)),
    "both ways": lambda: sequences(L.Bidirectional(lstm(4))),
    "both ways, sum": lambda: sequences(L.Bidirectional(lstm(4), merge_mode="sum"), lstm(3)),
    "both ways, two layers given": lambda: sequences(
        L.Bidirectional(lstm(4), backward_layer=lstm(4, go_backwards=True))
    ),
    "cells": lambda: sequences(L.RNN(L.LSTMCell(4), return_sequences=True)),
    "stacked cells": lambda: sequences(
        L.RNN(L.StackedRNNCells([L.LSTMCell(4), L.LSTMCell(3)]), return_sequences=True)
    ),
    "dropout between": lambda: sequences(lstm(4), L.Dropout(0.3), lstm(3)),
    "backwards twice": lambda: sequences(lstm(4, go_backwards=True), lstm(3, go_backwards=True)),
    "backwards, both ways, backwards": lambda: sequences(
        lstm(4, go_backwards=True),
        L.Bidirectional(lstm(2), merge_mode="ave"),
        lstm(3, go_backwards=True),
    ),
}


@pytest.mark.parametrize("source", mostly_full(list(SOURCES), ["activations", "backwards twice"]))
def test_kerass_own_networks(source):
    model = SOURCES[source]()
    assert_agrees(model, model, xs_for(5))


@pytest.mark.parametrize("source", SOURCES)
def test_files(source, tmp_path):
    model = SOURCES[source]()
    model.save(tmp_path / "model.keras")
    found, wanted = from_keras(tmp_path / "model.keras"), from_keras(model)
    assert found[0] == wanted[0]
    assert_same(found[1], wanted[1])


@pytest.mark.full
def test_weights_files(tmp_path):
    model = sequences(*(lstm(units) for units in range(2, 14)))
    model.save_weights(tmp_path / "model.weights.h5")
    report = Report()
    _, params = from_keras(tmp_path / "model.weights.h5", report=report)
    assert_same(params, from_keras(model)[1])
    assert "does not say which activations" in str(report)


def test_states_of_the_last_step():
    model = sequences(L.LSTM(4, return_state=True))
    xs = xs_for(5)
    last, h, c = model(xs.swapaxes(0, 1))
    report = Report()
    config, params = from_keras(model, report=report)
    (carry,), ys = run(config, params, xs)
    assert_close((carry.c, carry.h, ys[-1]), (np.asarray(c), np.asarray(h), np.asarray(last)))
    assert "use carry[-1].h" in str(report)


def test_one_layer_backwards_has_its_outputs_in_the_order_of_the_inputs():
    model = sequences(lstm(4, go_backwards=True))
    xs, report = xs_for(5), Report()
    config, params = from_keras(model, report=report)
    ys = np.asarray(model(xs.swapaxes(0, 1))).swapaxes(0, 1)
    assert_close(run(config, params, xs)[1], ys[::-1], atol=1e-5)
    assert "reversed order" in str(report)


def test_a_cell():
    cell = L.LSTMCell(4)
    cell.build((None, 5))
    distinct(cell)
    x = xs_for(5)[0]
    config, params = from_keras(cell)
    y, (_, c) = cell(x, [np.zeros((2, 4), "float32")] * 2)
    (carry,), own = jlstm.step(config, params, None, x)
    assert_close((own, carry.c), (np.asarray(y), np.asarray(c)), atol=1e-6)


@pytest.mark.parametrize(
    "layers, named",
    [
        (lambda: [L.Dense(3)], "Dense"),
        (lambda: [L.GRU(3)], "GRU"),
        (lambda: [lstm(4, activation="mish")], "mish"),
        (lambda: [L.RNN(L.GRUCell(3))], "GRUCell"),
        (lambda: [L.Bidirectional(L.GRU(3))], "GRU"),
        (lambda: [lstm(4, go_backwards=True), L.Bidirectional(lstm(3))], "concatenates"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(layers, named):
    with pytest.raises(ValueError, match=named):
        from_keras(keras.Sequential([keras.Input((None, 5)), *layers()]))


@pytest.mark.parametrize(
    "layer, named",
    [
        (Layer(4, peepholes=True), "peepholes"),
        (Layer(4, projection_size=2), "projection_size"),
        (Layer(4, reverse=True), "reverse"),
        (Layer(4, activation="relu"), "activation"),
        (Layer(4, activation=jax.numpy.tanh, cell_activation=jax.numpy.tanh), "function"),
    ],
)
def test_what_keras_lacks_is_refused_by_name(layer, named):
    config = Config(6, (layer,))
    with pytest.raises(ValueError, match=named):
        to_keras(config, jlstm.init(jax.random.key(0), config))


def test_dropout_behind_the_last_layer_is_left_out_and_reported():
    model = sequences(L.LSTM(4), L.Dropout(0.5))
    report = Report()
    config, _ = from_keras(model, report=report)
    assert config == Config.stack(5, [4])
    assert "a dropout of 0.5 after the last LSTM was left out" in str(report)


@pytest.mark.parametrize("held", mostly_full([True, False], default=[True]))
def test_dropout_goes_there_and_back(held):
    layers = (Layer(4), Layer(3, dropout=0.25, held_masks=held))
    config = Config(5, layers)
    model = to_keras(config, jlstm.init(jax.random.key(0), config))
    back, _ = from_keras(model)
    assert [(layer.dropout, layer.held_masks) for layer in back.layers] == [
        (0.0, False),
        (0.25, held),
    ]


def test_layers_without_weights():
    with pytest.raises(ValueError, match="has no weights yet"):
        from_keras(L.LSTM(4))


@pytest.mark.full
@pytest.mark.parametrize("backend", mostly_full(["numpy", "torch", "tensorflow"], ["numpy"]))
def test_layers_are_read_whatever_backend_keras_runs_on(backend):
    pytest.importorskip(backend)
    code = (
        "import warnings, keras, numpy as np; from jlstm.interop import from_keras;"
        "layer = keras.layers.LSTM(4); layer.build((None, None, 6));"
        "wanted = keras.ops.convert_to_numpy(layer.weights[1]);"
        "warnings.simplefilter('error');"
        "w_h = from_keras(layer)[1].layers[0].w_h;"
        "np.testing.assert_array_equal(w_h, wanted)"
    )
    environment = os.environ | {"KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_a_weights_file_says_that_its_layers_are_taken_as_a_stack(tmp_path):
    model = keras.Sequential([keras.Input((None, 5)), keras.layers.LSTM(4, return_sequences=True)])
    model.add(keras.layers.LSTM(3))
    model.save_weights(tmp_path / "a.weights.h5")
    report = Report()
    from_keras(tmp_path / "a.weights.h5", report=report)
    names = ", ".join(layer.name for layer in model.layers)
    assert f"does not say how its layers are connected; assumed: a stack of {names}" in str(report)


def test_numbers_in_the_other_byte_order(tmp_path):
    h5py = pytest.importorskip("h5py")
    model = keras.Sequential([keras.Input((None, 5)), keras.layers.LSTM(4)])
    model.save_weights(tmp_path / "a.weights.h5")
    wanted = from_keras(tmp_path / "a.weights.h5")[1]
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        variables = file["layers/lstm/cell/vars"]
        for name in list(variables):
            array = variables[name][()]
            del variables[name]
            variables[name] = array.astype(">f4")
    assert_same(from_keras(tmp_path / "a.weights.h5")[1], wanted)


def test_a_bidirectional_of_several_cells_is_refused():
    cells = keras.layers.StackedRNNCells([keras.layers.LSTMCell(4), keras.layers.LSTMCell(4)])
    layer = keras.layers.Bidirectional(keras.layers.RNN(cells, return_sequences=True))
    layer.build((None, None, 5))
    with pytest.raises(ValueError, match="wraps 2 cells; expected one LSTM"):
        from_keras(layer)


def test_a_policy_of_mixed_formats_is_reported():
    layer = L.LSTM(4, dtype="mixed_bfloat16")
    layer.build((None, None, 5))
    report = Report()
    config, _ = from_keras(layer, report=report)
    assert (config.dtype, config.param_dtype) == ("float32", "float32")
    assert "computes in mixed_bfloat16" in str(report)
    mixed = Config(5, (Layer(4),), dtype="bfloat16")
    to_keras(mixed, jlstm.init(jax.random.key(0), mixed), report=report)
    assert "products are in bfloat16 in jlstm, but in float32 there" in str(report)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_every_dtype_goes_there_and_back(dtype, x64):
    config = Config(5, (Layer(4), Layer(3)), dtype=dtype, param_dtype=dtype)
    params = jlstm.init(jax.random.key(0), config)
    assert_same(from_keras(to_keras(config, params))[1], params)


def test_a_forward_layer_that_goes_backwards_is_refused():
    layer = L.Bidirectional(lstm(4, go_backwards=True), backward_layer=lstm(4))
    layer.build((None, None, 5))
    with pytest.raises(ValueError, match="a forward layer with go_backwards=True"):
        from_keras(layer)


def test_two_outputs_above_go_backwards_are_refused():
    layers = [lstm(4, go_backwards=True), L.Bidirectional(lstm(3), merge_mode=None)]
    for layer, size in zip(layers, (5, 4), strict=True):
        layer.build((None, None, size))
    with pytest.raises(ValueError, match="returns its directions in an order"):
        from_keras(layers)


@pytest.mark.parametrize("way", mostly_full(["forward", "backwards", "both"], default=["forward"]))
def test_the_last_output_is_where_the_report_says(way):
    layer = L.LSTM(4, go_backwards=way == "backwards")
    model = sequences(lstm(3), L.Bidirectional(layer) if way == "both" else layer)
    xs, report = xs_for(5), Report()
    config, params = from_keras(model, report=report)
    h = run(config, params, xs)[0][-1].h
    found = np.concatenate(list(h), -1) if way == "both" else h
    assert_close(found, np.asarray(model(xs.swapaxes(0, 1))), atol=1e-5)
    assert "use carry[-1].h" in str(report)


def test_a_state_that_was_kept_is_reported():
    layer = L.LSTM(4, stateful=True)
    layer(np.zeros((2, 3, 5), "float32"))
    report = Report()
    from_keras(layer, report=report)
    assert "is stateful: pass the carry of one call to the next" in str(report)
