"""Calls of the compiled kernels: donated, nested, concurrent, and many: contracts 8 and 13."""

import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Config
from tests.networks import assert_close, loss, make_call

pytestmark = pytest.mark.usefixtures("kernel")


def test_a_carry_may_be_donated():
    call = make_call(Config.stack(3, [20]), 5, (2,), 0)

    def chunk(carry, xs):
        return jlstm.apply(call.config, call.params, carry, xs, implementation="cpu")

    wanted = chunk(call.carry, call.xs)
    carry = jax.tree.map(jnp.array, call.carry)
    seen = jax.jit(chunk, donate_argnums=0)(carry, call.xs)
    assert all(a.is_deleted() for a in jax.tree.leaves(carry))
    assert_close(seen, wanted, atol=0)


def test_calls_in_loops_branches_and_checkpoints():
    """In lax.scan, lax.cond and jax.checkpoint: values and gradients."""
    call = make_call(Config.stack(3, [20]), 6, (2,), 0)

    def chunks(params, implementation):
        def body(carry, xs):
            def ahead(carry):
                return jlstm.apply(call.config, params, carry, xs, implementation=implementation)

            return jax.lax.cond(xs[0, 0, 0] < 10, jax.checkpoint(ahead), ahead, carry)

        return jax.lax.scan(body, call.carry, call.xs.reshape(3, 2, 2, 3))

    for of in (chunks, lambda *a: jax.grad(lambda p: loss(chunks(p, a[1])))(a[0])):
        assert_close(of(call.params, "cpu"), of(call.params, "scan"), atol=1e-4)


def test_concurrent_calls():
    """Calls that share the threads of XLA's pool end, and with the same bits as calls in turn."""
    call = make_call(Config.stack(20, [128]), 20, (8,), 0)
    many = jnp.stack([call.xs * (1 + n) for n in range(6)])

    @jax.jit
    def side_by_side(many):
        return [jlstm.apply(call.config, call.params, None, xs)[1] for xs in many]

    @jax.jit
    def in_a_loop(many):
        return jax.lax.map(lambda xs: jlstm.apply(call.config, call.params, None, xs)[1], many)

    for _ in range(20):
        np.testing.assert_array_equal(jnp.stack(side_by_side(many)), in_a_loop(many))


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "calls",
    [pytest.param(3000, marks=pytest.mark.full), pytest.param(100_000, marks=pytest.mark.long)],
)
def test_many_calls_take_no_more_memory(calls):
    call = make_call(Config.stack(8, [64]), 4, (24,), 0)
    step = jax.jit(jax.grad(lambda p: loss(jlstm.apply(call.config, p, None, call.xs))))
    for _ in range(500):
        jax.block_until_ready(step(call.params))
    before = resident()
    for _ in range(calls):
        jax.block_until_ready(step(call.params))
    assert resident() - before < 8e6
