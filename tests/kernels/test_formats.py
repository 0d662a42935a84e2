"""The compiled kernels in float64 and bfloat16: contracts 5 to 9."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import jlstm
from jlstm import Config, Layer
from tests.examples import examples
from tests.kernels.test_cpu import ALL, shapes
from tests.networks import gradients, make_call, run, scaled

pytestmark = pytest.mark.usefixtures("kernel")

# Largest relative error of values and of gradients, compared with the scan in float64.
BOUNDS = {"float64": (1e-14, 1e-13), "bfloat16": (1e-2, 3e-2)}
FORMATS = pytest.mark.parametrize("dtype", BOUNDS)


def of_dtype(call, dtype):
    """The call with parameters and inputs in `dtype`."""
    config = dataclasses.replace(call.config, dtype=dtype, param_dtype=dtype)
    params, xs = jax.tree.map(lambda a: jnp.asarray(a, dtype), (call.params, call.xs))
    wide = "float64" if dtype == "float64" else "float32"
    carry = jax.tree.map(lambda a: jnp.asarray(a, wide), call.carry)
    return call._replace(config=config, params=params, xs=xs, carry=carry)


def in_float64(call):
    """The call with the same numbers in float64."""
    config = dataclasses.replace(call.config, dtype="float64", param_dtype="float64")
    wide = jax.tree.map(lambda a: jnp.asarray(a, "float64"), (call.params, call.carry, call.xs))
    return call._replace(config=config, params=wide[0], carry=wide[1], xs=wide[2])


def relative_error(seen, wanted):
    """The norm of all differences divided by the norm of all wanted numbers."""
    seen, wanted = (
        np.concatenate([np.asarray(a, "float64").ravel() for a in jax.tree.leaves(made)])
        for made in (seen, wanted)
    )
    return np.linalg.norm(seen - wanted) / np.linalg.norm(wanted)


def slopes(call, name):
    """Gradients of parameters, carry and inputs for a loss that is linear in the results."""

    def loss(params, carry, xs):
        last, ys = jlstm.apply(call.config, params, carry, xs, **call.times, implementation=name)
        waves = jnp.sin(jnp.arange(ys.size, dtype="float32")).reshape(ys.shape)
        return sum(jnp.sum(a) for a in jax.tree.leaves(last)) + jnp.sum(ys * waves)

    return jax.grad(loss, (0, 1, 2))(call.params, call.carry, call.xs)


def assert_close_to_float64(call, dtype):
    """The call's values, last carry and all gradients in `dtype`, on the CPU kernels."""
    call = of_dtype(call, dtype)
    exact, (of_values, of_slopes) = in_float64(call), BOUNDS[dtype]
    assert relative_error(run(call, "cpu"), run(exact, "scan")) < of_values
    assert relative_error(slopes(call, "cpu"), slopes(exact, "scan")) < of_slopes


@FORMATS
@settings(max_examples=examples(15))
@given(call=shapes())
def test_random_networks_are_close_to_float64(dtype, call):
    jax.config.update("jax_enable_x64", True)
    try:
        assert_close_to_float64(call, dtype)
    finally:
        jax.config.update("jax_enable_x64", False)


@FORMATS
@pytest.mark.parametrize("steps", [2, 6])
def test_more_units_than_a_block_holds(dtype, steps, x64):
    """The products then add to the sums of earlier blocks, which must not have been rounded."""
    call = make_call(Config.stack(7, [600]), steps, (5,), 0, ALL)
    assert_close_to_float64(call._replace(params=scaled(call.params)), dtype)


@FORMATS
@pytest.mark.parametrize("units", [4, 600])
def test_gradients_of_inputs_that_many_members_share(dtype, units, x64):
    """A sum in bfloat16 would stand still at 256 equal terms. 4H exceeds a block with 600 units."""
    members = 1000 if units < 10 else 3
    call = make_call(Config.stack(3, [units]), 3, (2,), 0)
    call = of_dtype(call._replace(params=scaled(call.params)), dtype)

    many = jax.tree.map(lambda a: jnp.broadcast_to(a, (members, *a.shape)), call.params)

    def loss(xs):
        ys = jax.vmap(lambda params: run(call, "cpu", params=params, xs=xs)[1])(many)
        return jnp.sum(ys.astype("float64"))

    exact = in_float64(call)
    alone = jax.grad(lambda xs: jnp.sum(run(exact, "scan", xs=xs)[1]))(exact.xs)
    assert relative_error(jax.grad(loss)(call.xs), members * alone) < BOUNDS[dtype][1]


@FORMATS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_in_their_sequence(dtype, value, x64):
    """The number of features is odd: the last one shares its word with no other feature."""
    call = of_dtype(make_call(Config.stack(3, [21]), 6, (9,), 0), dtype)
    xs = call.xs.at[2, 4, 2].set(value)
    ys, clean = (np.asarray(run(call, "cpu", xs=a)[1], "float64") for a in (xs, call.xs))
    others = np.arange(9) != 4
    np.testing.assert_array_equal(ys[:, others], clean[:, others])
    np.testing.assert_array_equal(ys[:2], clean[:2])
    assert np.isnan(ys[2:, 4]).all() == np.isnan(value)


@FORMATS
def test_padding_never_leaks(dtype, x64):
    """Contract 7."""
    call = of_dtype(make_call(Config.stack(3, [21, 7]), 8, (9,), 0, ("lengths", "mask")), dtype)
    valid = (np.arange(8)[:, None] < call.times["lengths"]) & call.times["mask"]
    xs = jnp.where(valid[..., None], call.xs, jnp.asarray(np.nan, dtype))
    for made in (run, gradients):
        seen, wanted = made(call._replace(xs=xs), "cpu"), made(call, "cpu")
        assert relative_error(seen, jax.tree.map(lambda a: a.astype("float64"), wanted)) == 0


@FORMATS
@pytest.mark.parametrize("steps", [2, 6])
def test_results_are_the_same_for_every_batch(dtype, steps, x64):
    """A sequence alone gives the same bits as among others."""
    call = of_dtype(make_call(Config.stack(5, [71]), steps, (40,), 0), dtype)
    together = np.asarray(run(call, "cpu")[1])
    for n in (0, 13, 39):
        carry = jax.tree.map(lambda a, n=n: a[n : n + 1], call.carry)
        alone = run(call, "cpu", carry=carry, xs=call.xs[:, n : n + 1])[1]
        np.testing.assert_array_equal(together[:, n : n + 1], alone)


def test_bfloat16_is_as_close_to_float64_as_torch_is(x64):
    """Gradients of every parameter and of the inputs, over 100 steps; torch uses oneDNN."""
    torch = pytest.importorskip("torch")
    call = make_call(Config.stack(30, [50]), 100, (8,), 0)
    call = call._replace(params=scaled(call.params))
    call = of_dtype(call, "bfloat16")
    weights = np.random.default_rng(1).normal(size=(100, 8, 50))

    def loss(call, name):
        def of(params, xs):
            ys = jlstm.apply(call.config, params, None, xs, implementation=name)[1]
            return jnp.sum(ys.astype(jnp.float64) * weights)

        return jax.grad(of, (0, 1))(call.params, call.xs)

    exact = loss(in_float64(call), "scan")
    ours = relative_error(loss(call, "cpu"), exact)
    model = torch.nn.LSTM(30, 50).to(torch.bfloat16)
    own = call.params.layers[0]

    def to_torch(a):
        return torch.tensor(np.asarray(a, "float32")).to(torch.bfloat16)

    with torch.no_grad():  # torch has the gates in the same order
        for name, a in (("weight_ih", own.w_x.T), ("weight_hh", own.w_h.T), ("bias_ih", own.b)):
            getattr(model, f"{name}_l0").copy_(to_torch(a))
        model.bias_hh_l0.zero_()
    xs = to_torch(call.xs).requires_grad_()
    (model(xs)[0].double() * torch.tensor(weights)).sum().backward()
    grads = [getattr(model, f"{n}_l0").grad for n in ("weight_ih", "weight_hh", "bias_ih")] + [
        xs.grad
    ]
    found = [g.double().numpy() for g in grads]
    wanted = exact[0].layers[0]
    theirs = relative_error(
        [found[0].T, found[1].T, found[2], found[3]], [wanted.w_x, wanted.w_h, wanted.b, exact[1]]
    )
    assert ours <= theirs


@pytest.mark.parametrize("gradient", [False, True])
def test_bfloat16_programs_copy_no_array_to_float32(gradient):
    """Neither inputs, outputs, pre-activations nor their gradients."""
    config = Config(24, (Layer(40),), dtype="bfloat16", param_dtype="bfloat16")
    params, xs = jlstm.init(jax.random.key(0), config), jnp.ones((7, 3, 24), "bfloat16")

    def forward(params, xs):
        return jlstm.apply(config, params, None, xs, implementation="cpu")[1]

    function = forward
    if gradient:
        d_ys = jnp.ones((7, 3, 40), "bfloat16")

        def function(params, xs):
            return jax.vjp(forward, params, xs)[1](d_ys)

    program = jax.jit(function).lower(params, xs).compile().as_text()
    assert program.count('custom_call_target="jlstm_') == (3 if gradient else 1)
    assert not re.findall(r"f32\[(?:1,)?7,3,(?:24|160)\]\S* (?:convert|copy|fusion)\(", program)
    assert not re.findall(r"f32\[(?:1,)?7,3,40\]\S* (?:convert|copy|fusion)\(", program)
