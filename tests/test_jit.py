"""Compilation: contracts 8 and 13."""

import concurrent.futures

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer, cell
from jlstm.network import sequence
from tests.networks import apply, assert_close, loss, make_call

CONFIG = Config(3, (Layer(4, bidirectional=True), Layer(5)))


@pytest.fixture
def traces(monkeypatch):
    """Counts how often a layer, or a single step of one, is traced."""
    seen = []

    def count(module, name):
        function = getattr(module, name)

        def counted(*args):
            seen.append(name)
            return function(*args)

        monkeypatch.setattr(module, name, counted)

    count(sequence, "run_layer")
    count(cell, "one_step")
    return seen


@pytest.mark.parametrize("given", [(), ("lengths",), ("lengths", "mask", "resets")])
def test_new_values_do_not_trace_again(traces, given):
    """Contract 8."""
    jax.clear_caches()
    for seed in range(4):
        apply(make_call(CONFIG, 6, (2,), seed, given))
        if seed == 0:
            first = len(traces)
    assert first > 0 and len(traces) == first


def test_gradients_do_not_trace_again_for_new_values(traces):
    """Contract 8."""
    jax.clear_caches()

    def gradient(call):
        return jax.grad(lambda params: loss(apply(call, params=params)))(call.params)

    counts = []
    for seed in range(4):
        gradient(make_call(CONFIG, 6, (2,), seed, ("lengths",)))
        counts.append(len(traces))
    assert counts[0] > 0 and len(set(counts[1:])) == 1


def test_equal_configs_share_one_program(traces):
    """Contract 8: a config is compared by its values."""
    jax.clear_caches()
    one = make_call(CONFIG, 6, (2,), 0)
    apply(one)
    first = len(traces)
    apply(one, config=Config(3, (Layer(4, bidirectional=True), Layer(5))))
    assert len(traces) == first
    apply(make_call(Config.stack(3, [4, 5]), 6, (2,), 0))
    assert len(traces) > first


def test_steps_do_not_trace_again(traces):
    """Contract 8."""
    jax.clear_caches()
    one = make_call(Config.stack(3, [4, 5]), 6, (2,), 0)
    carry, _ = jlstm.step(one.config, one.params, one.carry, one.xs[0])
    first = len(traces)
    for x in one.xs:
        carry, _ = jlstm.step(one.config, one.params, carry, x)
    assert len(traces) == first


def test_the_carry_may_be_donated():
    """Contract 8."""
    one = make_call(Config.stack(3, [4, 5]), 6, (2,), 0)
    wanted = apply(one)
    carry = jax.tree.map(jnp.array, one.carry)
    donating = jax.jit(lambda carry, xs: apply(one, carry=carry, xs=xs), donate_argnums=0)
    assert_close(donating(carry, one.xs), wanted, atol=1e-6)
    assert all(a.is_deleted() for a in jax.tree.leaves(carry))


def test_lengths_traced_out_of_range_are_clamped():
    """Contract 5, where values are not known."""
    one = make_call(CONFIG, 6, (3,), 0)

    @jax.jit
    def run(lengths):
        return apply(one, times={"lengths": lengths})

    assert_close(run(np.array([-4, 99, 6])), run(np.array([0, 6, 6])), atol=0)


def test_two_threads_at_once_get_what_one_gets():
    """Contract 13."""
    made = [make_call(CONFIG, 50, (2,), seed, ("lengths",)) for seed in range(8)]
    wanted = [apply(one) for one in made]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for seen, one in zip(pool.map(apply, made), wanted, strict=True):
            assert_close(seen, one, atol=0)


def test_an_exported_program_takes_params_and_carries_of_any_batch_and_length():
    """Contract 8: the pytrees are registered, T and B may be symbols."""
    pytest.importorskip("flatbuffers", reason="pip install flatbuffers")
    one = make_call(CONFIG, 6, (2,), 0)
    time, batch = jax.export.symbolic_shape("time, batch")
    shape = jax.ShapeDtypeStruct((time, batch, 3), "float32")
    carry = [
        jax.ShapeDtypeStruct((*lead, batch, layer.hidden_size), "float32")
        for layer, lead in zip(CONFIG.layers, ((2,), ()), strict=True)
    ]
    carry = tuple(jlstm.Carry(a, a) for a in carry)
    run = jax.jit(lambda params, carry, xs: jlstm.apply(CONFIG, params, carry, xs))
    exported = jax.export.export(run)(one.params, carry, shape)
    again = jax.export.deserialize(exported.serialize())
    assert_close(again.call(one.params, one.carry, one.xs), apply(one), atol=1e-6)
