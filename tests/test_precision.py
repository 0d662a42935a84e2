"""How exact results are, and what is kept in which dtype: contract 9."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer, randomness
from tests.networks import apply, assert_close, expected, loss, make_call

CONFIG = Config(4, (Layer(6), Layer(3, bidirectional=True)))


def keras_call(config, time, batch):
    """A call with weights of the size that training starts from."""
    call = make_call(config, time, (batch,), 0)
    return call._replace(params=jlstm.init(jax.random.key(0), config))


def test_a_thousand_steps_stay_close_to_the_reference():
    """Contract 9."""
    call = keras_call(CONFIG, 1000, 2)
    numbers = jax.tree.map(np.asarray, call.params)
    assert_close(apply(call), expected(call._replace(params=numbers)), atol=1e-5)


@pytest.mark.full
def test_gradients_over_a_thousand_steps_stay_close_to_those_in_float64():
    """Contract 9: relative to the largest of each array."""
    call = keras_call(CONFIG, 1000, 2)
    call = call._replace(params=jax.tree.map(np.asarray, call.params))

    def gradient(call):
        def mean(args):
            params, carry, xs = args
            return loss(apply(call, params=params, carry=carry, xs=xs)) / 1000

        return jax.grad(mean)((call.params, call.carry, call.xs))

    single = jax.tree.map(np.asarray, gradient(call))
    jax.config.update("jax_enable_x64", True)
    try:
        wide = dataclasses.replace(CONFIG, dtype="float64", param_dtype="float64")
        arrays = jax.tree.map(lambda a: np.asarray(a, "float64"), call[1:4])
        double = jax.tree.map(np.asarray, gradient(call.__class__(wide, *arrays, {})))
    finally:
        jax.config.update("jax_enable_x64", False)
    for a, b in zip(jax.tree.leaves(single), jax.tree.leaves(double), strict=True):
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


def test_bfloat16_keeps_the_carry_in_float32():
    """Contract 9."""
    config = dataclasses.replace(CONFIG, dtype="bfloat16")
    call = make_call(config, 5, (2,), 0)
    carry, ys = apply(call)
    assert ys.dtype == jnp.bfloat16
    assert {a.dtype for a in jax.tree.leaves(carry)} == {jnp.dtype("float32")}
    # A state held in bfloat16 would be a multiple of its coarse steps.
    assert np.any(carry[0].c != carry[0].c.astype("bfloat16").astype("float32"))


def test_bfloat16_adds_up_small_steps_that_its_own_sums_would_lose():
    """Contract 9: with f = 1, a cell of 300 still grows when 1 is added to it."""
    w = jnp.zeros((1, 4))
    b = jnp.array([50.0, 50.0, 50.0, 50.0])
    params = jlstm.Params((jlstm.LayerParams(w, w, b),))
    config = Config(1, (Layer(1),), dtype="bfloat16")
    carry, _ = jlstm.apply(config, params, None, jnp.zeros((600, 1), "bfloat16"))
    np.testing.assert_allclose(carry[0].c, 600.0)


def test_bfloat16_stays_near_float32():
    config = dataclasses.replace(CONFIG, dtype="bfloat16")
    rough = apply(keras_call(config, 50, 2))
    fine = apply(keras_call(CONFIG, 50, 2))
    for a, b in zip(jax.tree.leaves(rough), jax.tree.leaves(fine), strict=True):
        np.testing.assert_allclose(a.astype("float32"), b, atol=0.03)


def test_params_in_bfloat16_serve_a_float32_network():
    config = dataclasses.replace(CONFIG, param_dtype="bfloat16")
    call = keras_call(config, 5, 2)
    assert {a.dtype for a in jax.tree.leaves(call.params)} == {jnp.dtype("bfloat16")}
    widened = jax.tree.map(lambda a: a.astype("float32"), call.params)
    assert_close(apply(call), apply(keras_call(CONFIG, 5, 2), params=widened), atol=1e-6)


def test_float64_agrees_with_the_reference_to_its_last_digits(x64):
    config = dataclasses.replace(CONFIG, dtype="float64", param_dtype="float64")
    call = make_call(config, 20, (2,), 0, ("lengths", "mask", "resets"), "float64")
    assert_close(apply(call), expected(call), atol=1e-13)


@pytest.mark.parametrize("where", ["dtype", "param_dtype"])
def test_float64_without_x64_is_refused(where):
    """Contract 12."""
    config = dataclasses.replace(CONFIG, **{where: "float64"})
    with pytest.raises(ValueError, match="jax_enable_x64"):
        params = jlstm.init(jax.random.key(0), config)
        jlstm.apply(config, params, None, jnp.ones((3, 4)))


@pytest.mark.parametrize("large", [100.0, 1e4, 1e30])
def test_saturated_gates_give_no_nan(large):
    call = make_call(CONFIG, 5, (2,), 0)
    (_, out), gradient = jax.value_and_grad(
        lambda xs: (loss(apply(call, xs=xs)), apply(call, xs=xs)), has_aux=True
    )(call.xs * np.float32(large))
    assert all(np.all(np.isfinite(a)) for a in jax.tree.leaves((out, gradient)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dropout_keeps_the_mean_of_few_bits(dtype):
    """What is kept is scaled by 1/(1-p), not by that of a rounded p."""
    layer = Layer(1, dropout=0.1, weight_dropout=0.1, held_masks=True)
    params = jlstm.init(jax.random.key(0), Config(2000, (layer,))).layers[0]
    ones = jnp.full((1, 2000), 3.0, dtype)
    keys = randomness.keys(jax.random.key(1), 1)
    kept = randomness.drop_inputs(keys, 0, layer, ones[None])
    weights = params._replace(w_h=ones)
    dropped = randomness.drop_weights(keys, 0, layer, weights).w_h
    for a in (kept, dropped):
        assert a.dtype == dtype
        assert set(np.unique(a).tolist()) == {0.0, float(jnp.asarray(3 / 0.9, dtype))}


def test_one_layer_drops_in_the_dtype_of_its_products():
    """Values that times 1/(1-p) leave float16 are dropped in float32, as in a network."""
    config = Config(4, (Layer(2, dropout=0.5),))
    params, key = jlstm.init(jax.random.key(0), config), jax.random.key(1)
    xs = jnp.full((3, 1, 4), 5e4, "float16")
    _, seen = jlstm.lstm(params.layers[0], None, xs, config.layers[0], key=key)
    _, wanted = jlstm.apply(config, params, None, xs, key=key)
    assert np.isfinite(seen).all()
    assert_close(seen, wanted, atol=1e-6)
