"""Derivatives of calls with int8 weights: contract 8."""

import jax
import numpy as np
import pytest

import jlstm
from tests.networks import apply, assert_close, loss, random_like
from tests.quantize.made import CONFIG, quantized_call


def test_derivatives_for_inputs_and_carry():
    """Contract 8."""
    call, exact = quantized_call(CONFIG)
    args = call.carry, call.xs

    def value(c):
        return lambda args: loss(apply(c, carry=args[0], xs=args[1]))

    slopes = jax.grad(value(exact))(args)
    assert_close(jax.grad(value(call))(args), slopes)
    assert_close(jax.jit(jax.grad(jax.checkpoint(value(call))))(args), slopes)
    moved = random_like(4, args)
    assert_close(jax.jvp(value(call), (args,), (moved,)), jax.jvp(value(exact), (args,), (moved,)))
    along = [jax.jvp(jax.grad(value(c)), (args,), (moved,)) for c in (call, exact)]
    assert_close(*along)

    def of_params(params, args):
        return value(call._replace(params=params))(args)

    assert_close(jax.grad(of_params, 1)(call.params, args), slopes)
    assert_close(jax.grad(jax.checkpoint(of_params), 1)(call.params, args), slopes)

    def looped(args):  # params go through a scan beside a carry with derivatives
        def body(carry, x):
            state, params = carry
            state, y = jlstm.step(CONFIG, params, state, x)
            return (state, params), y

        (last, _), ys = jax.lax.scan(body, (args[0], call.params), args[1])
        return loss((last, ys))

    assert_close(jax.grad(looped)(args), slopes)
    cut = jlstm.apply(CONFIG, call.params, *args, remat=2)
    assert_close(cut, apply(call))
    assert_close(jlstm.apply_truncated(CONFIG, call.params, *args, 2), apply(call))


WORDS = r"int8 matrix of shape \(\d, \d+\).*quantize\(config, params\) after training"


def test_derivatives_for_params_are_refused():
    call, _ = quantized_call(CONFIG)
    params = call.params

    def value(params):
        return loss(apply(call, params=params))

    with pytest.raises(TypeError, match="int8"):  # of JAX itself, before the function is called
        jax.grad(value)(params)
    for nested in (value, jax.jit(value), jax.checkpoint(value)):
        with pytest.raises(TypeError, match=WORDS):
            jax.grad(nested, allow_int=True)(params)
    moved = jax.tree.map(
        lambda a: np.zeros(a.shape, jax.dtypes.float0 if a.dtype == "int8" else a.dtype), params
    )
    with pytest.raises(TypeError, match=WORDS):
        jax.jvp(value, (params,), (moved,))
    with pytest.raises(TypeError, match=WORDS):
        jax.vjp(value, params)
    with pytest.raises(TypeError, match=WORDS):
        jax.vjp(lambda params, xs: apply(call, params=params, xs=xs), params, call.xs)

    def of_scale(scale):  # a closure over the values
        first = params.layers[0]
        w_h = first.w_h._replace(scale=scale)
        return value(params._replace(layers=(first._replace(w_h=w_h), params.layers[1])))

    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        with pytest.raises(TypeError, match=WORDS):
            derivative(of_scale)(params.layers[0].w_h.scale)
    with pytest.raises(TypeError, match=WORDS):
        jax.grad(
            lambda params: loss(jlstm.step(CONFIG, params, call.carry, call.xs[0])), allow_int=True
        )(params)
    with pytest.raises(TypeError, match=WORDS):
        jax.grad(lambda p: loss(jlstm.lstm(p, call.carry[0], call.xs)), allow_int=True)(
            params.layers[0]
        )
