"""Calls with int8 weights compute what these weights mean: contracts 1 to 7, 9 and 10."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Config
from tests.examples import mostly_full
from tests.networks import apply, assert_close, expected, loss
from tests.quantize.made import CONFIG, DTYPES, dequantised, quantized_call
from tests.test_variants import ALL, NETWORKS

# NETWORKS without the options that `step` does not support.
STREAMING = {
    name: tuple(
        dataclasses.replace(
            layer, bidirectional=False, merge="concat", weight_dropout=0.0, held_masks=False
        )
        for layer in layers
    )
    for name, layers in NETWORKS.items()
    if name != "directions"
}


@pytest.mark.parametrize("name", mostly_full([*NETWORKS], default=["projections and clips"]))
def test_calls_compute_what_the_weights_mean(name):
    """Contracts 4 to 6, for every option, compared with the reference in float64."""
    call, exact = quantized_call(Config(3, NETWORKS[name], learn_initial_carry=True), given=ALL)
    assert_close(apply(call), expected(exact), atol=1e-4)
    start = call._replace(carry=None)
    zeros = jlstm.initial_carry(call.config, call.params, (2,))
    assert_close(apply(start), apply(start, carry=zeros), atol=0)
    seen, wanted = (
        jlstm.trace(c.config, c.params, c.carry, c.xs, **c.times) for c in (call, exact)
    )
    assert_close(seen, wanted)
    key = {**call.times, "key": jax.random.key(1)}
    assert_close(apply(call, times=key), apply(exact, times=key))


@pytest.mark.parametrize("name", mostly_full([*STREAMING], default=["projections and clips"]))
def test_steps_agree_with_the_whole(name):
    """Contracts 1 and 2."""
    config = Config(3, STREAMING[name], learn_initial_carry=True)
    call, exact = quantized_call(config, given=("resets",), batch=(2,))
    assert_close(apply(call), apply(exact))
    carry, ys = call.carry, []
    for x, reset in zip(call.xs, call.times["resets"], strict=True):
        carry, y = jlstm.step(call.config, call.params, carry, x, reset=reset)
        ys.append(y)
    assert_close((carry, jnp.stack(ys)), apply(call))
    step = functools.partial(jlstm.step, call.config, call.params)
    assert_close(jax.lax.scan(step, call.carry, call.xs), apply(call, times={}))
    middle, first = apply(call, xs=call.xs[:2], times={})
    last, second = apply(call, xs=call.xs[2:], carry=middle, times={})
    assert_close((last, jnp.concatenate([first, second])), apply(call, times={}))


def test_vmap_over_data_and_over_params():
    """Contract 3."""
    call, exact = quantized_call(CONFIG, batch=(3,))
    alone = jax.vmap(lambda carry, xs: apply(call, carry=carry, xs=xs), (0, 1), (0, 1))
    assert_close(alone(call.carry, call.xs), apply(exact))
    params = jlstm.init(jax.random.key(1), CONFIG)
    several = jax.tree.map(lambda a: jnp.stack([a, -a, a / 2]), params)
    members = jax.vmap(functools.partial(jlstm.quantize, CONFIG))(several)
    assert members.layers[0].w_x.values.shape == (3, 3, 20)
    of_all = jax.vmap(lambda params: apply(call, params=params))(members)
    for n in range(3):
        own = jax.tree.map(lambda a, n=n: a[n], members)
        assert_close(jax.tree.map(lambda a, n=n: a[n], of_all), apply(call, params=own))
        exact_of = dequantised(own, "float32")
        assert_close(apply(call, params=own), apply(call, params=exact_of))


def test_padding_never_leaks():
    """Contracts 5 and 7, with derivatives for inputs."""
    call, _ = quantized_call(CONFIG, given=("lengths", "mask"))
    valid = call.times["mask"] & (np.arange(5)[:, None] < call.times["lengths"])
    broken = call._replace(xs=np.where(valid[..., None], call.xs, np.nan).astype("float32"))
    assert_close(apply(broken), apply(call), atol=0)
    slopes = jax.grad(lambda xs: loss(apply(broken, xs=xs)))(broken.xs)
    assert_close(slopes, jax.grad(lambda xs: loss(apply(call, xs=xs)))(call.xs), atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_are_in_the_dtype_of_the_config(dtype, x64):
    config = dataclasses.replace(CONFIG, dtype=dtype)
    call, exact = quantized_call(config, dtype="float32" if dtype == "bfloat16" else dtype)
    made = apply(call)
    assert made[1].dtype == dtype
    if dtype == "float64":
        exact = call._replace(params=dequantised(call.params, "float64"))
        assert_close(made, expected(exact), atol=1e-12)
    assert_close(made, apply(exact), atol=1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("name", ["auto", "cpu", "scan"])
def test_every_implementation_runs_them(name, kernel):
    """Contracts 9 and 10."""
    call, exact = quantized_call(CONFIG, time=40)
    assert_close(apply(call, times={"implementation": name}), expected(exact))


def test_one_layer_alone():
    call, exact = quantized_call(Config.stack(3, [5]))
    seen, wanted = (
        jlstm.lstm(c.params.layers[0], c.carry[0], c.xs, time_major=True) for c in (call, exact)
    )
    assert_close(seen, wanted)
    seen, wanted = (jlstm.lstm_cell(c.params.layers[0], c.carry[0], c.xs[0]) for c in (call, exact))
    assert_close(seen, wanted)
    assert jlstm.lstm_cell(call.params.layers[0], None, call.xs[0].astype("bfloat16"))[1].dtype == (
        "float32"
    )


def test_some_layers_may_stay_float():
    call, exact = quantized_call(CONFIG)
    mixed = jlstm.Params((call.params.layers[0], exact.params.layers[1]))
    assert_close(apply(call, params=mixed), apply(exact))
