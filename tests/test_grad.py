"""Derivatives of every kind and nesting: contracts 6 and 8."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer
from tests.examples import examples
from tests.networks import (
    apply,
    assert_close,
    calls,
    expected,
    loss,
    make_call,
    random_like,
    run,
)


def differentiable(call):
    return call.params, call.carry, call.xs


def value(call, args):
    params, carry, xs = args
    return loss(apply(call, params=params, carry=carry, xs=xs))


def along(args, direction, at):
    return jax.tree.map(lambda a, d: a + at * d, args, direction)


@given(calls(dtype="float64"), st.integers(0, 2**31))
def test_gradients_are_the_slopes_of_the_reference(call, seed):
    """Contract 8, in float64: the reference is moved a little, the library differentiated."""
    jax.config.update("jax_enable_x64", True)
    try:
        args, step = differentiable(call), 1e-6
        direction = random_like(seed, args, "float64")

        def reference(at):
            params, carry, xs = along(args, direction, at)
            return float(loss(expected(call._replace(params=params, carry=carry, xs=xs))))

        slope = (reference(step) - reference(-step)) / (2 * step)
        gradient = jax.grad(lambda args: value(call, args))(args)
        products = jax.tree.map(lambda g, d: (g * d).sum(), gradient, direction)
        np.testing.assert_allclose(sum(jax.tree.leaves(products)), slope, rtol=1e-6, atol=1e-6)
    finally:
        jax.config.update("jax_enable_x64", False)


@given(calls(), st.integers(0, 2**31))
def test_forward_mode_agrees_with_reverse_mode(call, seed):
    """Contract 8."""
    args = differentiable(call)
    direction = random_like(seed, args)
    _, slope = jax.jvp(lambda args: value(call, args), (args,), (direction,))
    gradient = jax.grad(lambda args: value(call, args))(args)
    products = jax.tree.map(lambda g, d: (g * d).sum(), gradient, direction)
    np.testing.assert_allclose(slope, sum(jax.tree.leaves(products)), rtol=1e-3, atol=1e-3)


NETWORK = Config(3, (Layer(4), Layer(3, bidirectional=True), Layer(2, reverse=True)))
ALL = ("lengths", "mask", "resets")


@pytest.mark.full
def test_hessian_vector_products_are_the_slopes_of_the_gradient(x64):
    """Contract 8, forward over reverse and reverse over reverse."""
    config = dataclasses.replace(NETWORK, dtype="float64", param_dtype="float64")
    call = make_call(config, 5, (2,), 0, ALL, "float64")
    args = differentiable(call)
    direction = random_like(1, args, "float64")
    gradient = jax.grad(lambda args: value(call, args))

    def dot(args):
        products = jax.tree.map(lambda g, d: (g * d).sum(), gradient(args), direction)
        return sum(jax.tree.leaves(products))

    _, forward_over_reverse = jax.jvp(gradient, (args,), (direction,))
    reverse_over_reverse = jax.grad(dot)(args)
    step = 1e-6
    slopes = jax.tree.map(
        lambda a, b: (a - b) / (2 * step),
        gradient(along(args, direction, step)),
        gradient(along(args, direction, -step)),
    )
    assert_close(forward_over_reverse, slopes, atol=1e-6)
    assert_close(reverse_over_reverse, slopes, atol=1e-6)


def test_checkpointing_changes_no_gradient():
    """Contract 8."""
    call = make_call(NETWORK, 5, (2,), 0, ALL)
    plain = jax.grad(lambda args: value(call, args))
    saved = jax.grad(jax.checkpoint(lambda args: value(call, args)))
    assert_close(saved(differentiable(call)), plain(differentiable(call)), atol=1e-6)


@pytest.mark.parametrize("jitted", [False, True])
def test_per_example_gradients_are_those_of_each_example(jitted):
    """Contract 8."""
    call = make_call(Config.stack(3, [4, 5]), 6, (), 0)
    xs = np.random.default_rng(0).normal(size=(7, 6, 3)).astype("float32")

    def gradient(params, xs):
        return jax.grad(lambda params: loss(apply(call, params=params, xs=xs)))(params)

    together = jax.vmap(gradient, (None, 0))
    together = jax.jit(together) if jitted else together
    one_by_one = [gradient(call.params, x) for x in xs]
    assert_close(
        together(call.params, xs), jax.tree.map(lambda *a: jnp.stack(a), *one_by_one), atol=1e-4
    )


@pytest.mark.full
@settings(max_examples=6 if examples(6) == 6 else 2)  # single operations are slow
@given(calls())
def test_compiled_gradients_are_those_of_single_operations(call):
    """Contract 8: the compiler's fusions have been wrong before."""
    args = differentiable(call)
    gradient = jax.grad(lambda args: value(call, args))
    compiled = jax.jit(gradient)(args)
    with jax.disable_jit():
        assert_close(gradient(args), compiled, atol=1e-4)


def test_gradients_can_be_transposed():
    """Contract 8, as solvers ask that are given a product with a Jacobian."""
    call = make_call(NETWORK, 5, (2,), 0, ALL)
    ys, back = jax.vjp(lambda xs: apply(call, xs=xs)[1], jnp.asarray(call.xs))
    moved = random_like(1, call.xs)
    (seen,) = jax.linear_transpose(lambda ct: back(ct)[0], ys)(moved)
    wanted = jax.jvp(lambda xs: run(call, "scan", xs=xs)[1], (call.xs,), (moved,))[1]
    assert_close(seen, wanted)


def test_inside_loops_and_branches():
    """Contract 8: a scan over chunks of time, and a branch, both differentiated."""
    call = make_call(Config.stack(3, [4, 5]), 12, (2,), 0)
    chunks = call.xs.reshape(4, 3, 2, 3)

    def chunked(params):
        def body(carry, xs):
            run = lambda: jlstm.apply(call.config, params, carry, xs)  # noqa: E731
            return jax.lax.cond(xs.shape[0] == 3, run, run)

        carry, ys = jax.lax.scan(body, call.carry, chunks)
        return loss((carry, ys.reshape(12, 2, 5)))

    whole = jax.grad(lambda params: loss(apply(call, params=params)))
    assert_close(jax.jit(jax.grad(chunked))(call.params), whole(call.params), atol=1e-4)


@pytest.mark.parametrize("reverse", [False, True])
def test_no_gradient_crosses_a_reset(reverse):
    """Contract 6: steps beyond the reset neither see nor move what lies before it."""
    config = Config(3, (Layer(4, reverse=reverse), Layer(3, reverse=reverse)))
    call = make_call(config, 6, (2,), 0)
    resets = np.zeros((6, 2), bool)
    resets[3] = True
    after = slice(0, 3) if reverse else slice(3, 6)
    before = slice(3, 6) if reverse else slice(0, 3)

    def seen(carry, xs):
        ys = apply(call, carry=carry, xs=xs, times={"resets": resets})[1]
        return loss(ys[after])

    carry_gradient, xs_gradient = jax.grad(seen, (0, 1))(call.carry, call.xs)
    assert not any(np.any(a) for a in jax.tree.leaves(carry_gradient))
    assert not np.any(xs_gradient[before])
    assert np.all(np.any(xs_gradient[after], axis=-1))


def test_a_learned_initial_carry_learns_at_every_reset():
    """Contract 6."""
    config = Config(3, (Layer(4),), learn_initial_carry=True)
    call = make_call(config, 6, (2,), 0)

    def start(times, carry):
        gradient = jax.grad(lambda params: loss(apply(call, params=params, times=times)[1]))
        return gradient(call.params).layers[0].initial_carry.c

    none = np.zeros((6, 2), bool)
    once = none.copy()
    once[3] = True
    assert not np.any(start({"resets": none}, call.carry))
    assert np.all(start({"resets": once}, call.carry))


def test_weight_gradients_are_one_product_outside_the_loop():
    call = make_call(Config.stack(3, [4]), 6, (2,), 0)

    def run(params):
        return jlstm.apply(call.config, params, None, call.xs, implementation="scan")

    gradient = jax.grad(lambda params: loss(run(params)))
    program = jax.make_jaxpr(gradient)(call.params).jaxpr
    loops = [equation for equation in equations(program) if equation.primitive.name == "scan"]
    assert len(loops) == 2
    for loop in loops:
        products = [
            set(equation.outvars[0].aval.shape)
            for equation in equations(loop.params["jaxpr"].jaxpr)
            if equation.primitive.name == "dot_general"
        ]
        assert products and {4, 16} not in products


def equations(jaxpr):
    """Every equation of a jaxpr, those of inner ones too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for one in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(one, "jaxpr", one)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)
