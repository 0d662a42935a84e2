"""One layer on its own: lstm_cell and lstm."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import jlstm
from jlstm import Config
from tests.networks import assert_close, layers, make_call


@given(layers(3, streams=True), st.integers(0, 2**31))
def test_a_cell_is_a_step_of_a_network_of_one_layer(layer, seed):
    call = make_call(Config(3, (layer,)), 1, (2,), seed)
    one, y = jlstm.lstm_cell(call.params.layers[0], call.carry[0], call.xs[0], layer)
    wanted = jlstm.step(call.config, call.params, call.carry, call.xs[0])
    assert_close(((one,), y), wanted, atol=1e-6)


@given(layers(3, streams=False), st.sets(st.sampled_from(["lengths", "mask", "resets"])))
def test_lstm_is_apply_with_one_layer(layer, times):
    call = make_call(Config(3, (layer,)), 4, (2,), 7, times)
    one, ys = jlstm.lstm(call.params.layers[0], call.carry[0], call.xs, layer, **call.times)
    wanted = jlstm.apply(call.config, call.params, call.carry, call.xs, **call.times)
    assert_close(((one,), ys), wanted, atol=1e-6)


def test_without_a_layer_the_parameters_say_what_it_is():
    call = make_call(Config.stack(3, [4], bias=False), 4, (2,), 0)
    one, ys = jlstm.lstm(call.params.layers[0], None, call.xs)
    wanted = jlstm.apply(call.config, call.params, None, call.xs)
    assert_close(((one,), ys), wanted, atol=1e-6)


def test_the_output_of_a_plain_cell_is_its_hidden_state():
    call = make_call(Config.stack(6, [4]), 1, (1,), 0)
    carry, y = jlstm.lstm_cell(call.params.layers[0], None, call.xs[0])
    np.testing.assert_array_equal(carry.h, y)


def test_products_take_the_wider_dtype():
    params = jlstm.LayerParams(jnp.ones((3, 16), "bfloat16"), jnp.ones((4, 16), "bfloat16"))
    for dtype in ("bfloat16", "float32"):
        carry, y = jlstm.lstm_cell(params, None, jnp.ones(3, dtype))
        assert y.dtype == dtype
        assert carry.c.dtype == "float32"


def test_a_cell_in_batch_major_layers_drops_with_a_key():
    layer = jlstm.Layer(4, dropout=0.5)
    call = make_call(Config(3, (layer,)), 5, (2,), 0)
    key = jax.random.key(0)
    params, xs = call.params.layers[0], np.moveaxis(call.xs, 0, 1)
    _, ys = jlstm.lstm(params, call.carry[0], xs, layer, key=key, time_major=False)
    _, wanted = jlstm.apply(call.config, call.params, call.carry, xs, key=key, time_major=False)
    assert_close(ys, wanted, atol=1e-6)
