"""A sequence in spans of time: recomputed by gradients, or cut off from the span before."""

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer
from tests.examples import examples, mostly_full
from tests.networks import apply, assert_close, calls, loss, make_call

NOISY = Layer(4, dropout=0.3, recurrent_dropout=0.3, held_masks=True, weight_dropout=0.2)


@settings(max_examples=examples(15))
@given(calls(streams=True), st.sampled_from([1, 2, 3, 9, "sqrt"]))
def test_rematerialisation_changes_memory_and_nothing_else(call, remat):
    def total(args, times):
        params, carry, xs = args
        return loss(apply(call, params=params, carry=carry, xs=xs, times=times))

    args = (call.params, call.carry, call.xs)
    seen, wanted = call.times | {"remat": remat}, call.times
    assert_close(apply(call, times=seen), apply(call, times=wanted), atol=1e-5)
    assert_close(jax.grad(total)(args, seen), jax.grad(total)(args, wanted), atol=1e-4)


@pytest.mark.parametrize("steps", mostly_full([2, 4, 7], default=[4]))
def test_spans_draw_what_a_whole_sequence_draws(steps):
    call = make_call(Config(3, (NOISY, Layer(2, dropout=0.3))), 7, (2,), 0)
    times = {"key": jax.random.key(0)}
    wanted = apply(call, times=times)
    assert_close(apply(call, times=times | {"remat": steps}), wanted, atol=1e-5)
    args = (call.config, call.params, call.carry, call.xs, steps)
    assert_close(jlstm.apply_truncated(*args, **times), wanted, atol=1e-5)


def training_memory(remat):
    """Bytes that a training step on the last state works in, as the compiler says."""
    config = Config.stack(256, [256])
    shapes = jax.eval_shape(lambda: jlstm.init(jax.random.key(0), config))

    def total(params, xs):
        (last,), _ = jlstm.apply(config, params, None, xs, remat=remat)
        return (last.h**2).sum()

    xs = jax.ShapeDtypeStruct((16384, 8, 256), jnp.float32)
    return jax.jit(jax.grad(total)).lower(shapes, xs).compile().memory_analysis().temp_size_in_bytes


def test_rematerialisation_takes_a_tenth_of_the_memory():
    assert training_memory("sqrt") <= training_memory(None) / 10


@settings(max_examples=examples(15))
@given(calls(streams=True, given=("mask", "resets")), st.integers(1, 7))
def test_truncated_gradients_are_those_of_spans_one_after_the_other(call, steps):
    """Contract 2, and no gradient from one span to the one before."""

    def at_once(args):
        params, carry, xs = args
        return loss(jlstm.apply_truncated(call.config, params, carry, xs, steps, **call.times))

    def in_turn(args):
        params, carry, xs = args
        ys = []
        for start in range(0, len(xs), steps):
            span = slice(start, start + steps)
            times = {name: a[span] for name, a in call.times.items()}
            carry = carry if start == 0 else jax.lax.stop_gradient(carry)
            carry, y = apply(call, params=params, carry=carry, xs=xs[span], times=times)
            ys.append(y)
        return loss((carry, jnp.concatenate(ys)))

    args = (call.params, call.carry, call.xs)
    assert_close(at_once(args), in_turn(args), atol=1e-4)
    assert_close(jax.grad(at_once)(args), jax.grad(in_turn)(args), atol=1e-4)


@pytest.mark.parametrize("layer", [Layer(4, bidirectional=True), Layer(4, reverse=True)])
def test_spans_need_a_network_that_runs_forward(layer):
    call = make_call(Config(3, (layer,)), 4, (2,), 0)
    with pytest.raises(ValueError, match="remat goes span by span"):
        apply(call, times={"remat": 2})
    with pytest.raises(ValueError, match="truncated backpropagation goes span by span"):
        jlstm.apply_truncated(call.config, call.params, None, call.xs, 2)


@pytest.mark.full
@pytest.mark.parametrize(
    "generator", mostly_full(["threefry2x32", "rbg", "unsafe_rbg"], default=["rbg"])
)
def test_every_way_through_time_draws_the_same_from_a_key_of_any_generator(generator):
    noisy = Layer(4, dropout=0.3, recurrent_dropout=0.3, zoneout_c=0.2, zoneout_h=0.2)
    call = make_call(Config(3, (noisy, Layer(4, dropout=0.3))), 6, (2,), 0)
    key = jax.random.key(0, impl=generator)
    carry, ys = call.carry, []
    for x, k in zip(call.xs, jax.random.split(key, 6), strict=True):
        carry, y = jlstm.step(call.config, call.params, carry, x, key=k)
        ys.append(y)
    wanted = carry, jnp.stack(ys)
    assert_close(apply(call, times={"key": key}), wanted, atol=1e-5)
    assert_close(apply(call, times={"key": key, "remat": 4}), wanted, atol=1e-5)
    args = (call.config, call.params, call.carry, call.xs, 4)
    assert_close(jlstm.apply_truncated(*args, key=key), wanted, atol=1e-5)


@pytest.mark.parametrize("how", ["remat", "truncated"])
def test_spans_need_a_known_number_of_steps(how):
    config = Config.stack(3, [4])
    params = jlstm.init(jax.random.key(0), config)
    time, batch = jax.export.symbolic_shape("t, b")

    def run(xs):
        if how == "remat":
            return jlstm.apply(config, params, None, xs, remat=2)[1]
        return jlstm.apply_truncated(config, params, None, xs, steps=2)[1]

    with pytest.raises(ValueError, match=r"into spans, but .* symbolic \(t\); export a program"):
        jax.export.export(jax.jit(run))(jax.ShapeDtypeStruct((time, batch, 3), "float32"))
    exported = jax.export.export(jax.jit(run))(jax.ShapeDtypeStruct((5, batch, 3), "float32"))
    xs = jnp.ones((5, 2, 3))
    assert_close(exported.call(xs), jlstm.apply(config, params, None, xs)[1])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_spans_take_the_carry_of_any_dtype(dtype):
    call = make_call(Config.stack(3, [4]), 5, (2,), 0)
    call = call._replace(carry=jax.tree.map(lambda a: jnp.asarray(a, dtype), call.carry))
    wanted = apply(call)
    assert_close(apply(call, times={"remat": 2}), wanted, atol=1e-6)
    args = (call.config, call.params, call.carry, call.xs, 2)
    assert_close(jlstm.apply_truncated(*args), wanted, atol=1e-6)
