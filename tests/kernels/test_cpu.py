"""The compiled kernels beside the scan and the reference: contracts 3 and 5 to 9."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer
from tests.examples import examples, mostly_full
from tests.networks import assert_close, expected, gradients, loss, make_call, run, scaled

pytestmark = pytest.mark.usefixtures("kernel")

ALL = ("lengths", "mask", "resets")


@st.composite
def shapes(draw):
    """Sizes that are and are not multiples of a vector's width, batches on both sides of a tile."""
    size = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 67])
    batch = st.sampled_from([1, 2, 5, 6, 7, 12, 13, 25, 97])
    layer = Layer(draw(size), bidirectional=draw(st.booleans()), bias=draw(st.booleans()))
    chosen = draw(st.sets(st.sampled_from(ALL)))
    config = Config(draw(size), (layer,), learn_initial_carry=draw(st.booleans()))
    call = make_call(
        config, draw(st.integers(1, 9)), (draw(batch),), draw(st.integers(0, 99)), chosen
    )
    return call._replace(params=scaled(call.params))


@settings(max_examples=examples(40))
@given(shapes())
def test_every_size_gives_what_the_scan_gives(call):
    """Values, last carry and all gradients."""
    assert_close(run(call, "cpu"), run(call, "scan"), atol=2e-6)
    assert_close(gradients(call, "cpu"), gradients(call, "scan"), atol=5e-4)


@pytest.mark.parametrize("steps", mostly_full([2, 6], default=[6]))
def test_more_units_than_a_block_holds(steps):
    """Backward products are taken in blocks of 1024 rows, which 4H exceeds here."""
    call = make_call(Config.stack(7, [300]), steps, (5,), 0, ALL)
    call = call._replace(params=scaled(call.params))
    assert_close(run(call, "cpu"), run(call, "scan"), atol=2e-6)
    assert_close(gradients(call, "cpu"), gradients(call, "scan"), atol=5e-4)


@settings(max_examples=examples(15))
@given(shapes())
def test_every_size_gives_what_the_reference_gives(call):
    call = call._replace(xs=call.xs[:3], times={})
    assert_close(run(call, "cpu"), expected(call), atol=1e-5)


@settings(max_examples=examples(20))
@given(shapes())
def test_bfloat16_gives_what_the_scan_gives(call):
    """Contract 9: products read weights, inputs and h in bfloat16, all else is float32."""
    call = call._replace(config=dataclasses.replace(call.config, dtype="bfloat16"))
    (carry, ys), (scan_carry, scan_ys) = run(call, "cpu"), run(call, "scan")
    assert ys.dtype == jnp.bfloat16 and carry[0].h.dtype == jnp.float32
    # A sum in another order may round h, and with it the next sums, to a neighbour in bfloat16.
    assert_close(carry, scan_carry, atol=2e-3)
    assert_close(ys.astype("float32"), scan_ys.astype("float32"), atol=8e-3)
    slopes, wanted = (jax.tree.leaves(gradients(call, name)) for name in ("cpu", "scan"))
    for a, b in zip(slopes, wanted, strict=True):
        largest = np.abs(b.astype("float32")).max(initial=1e-3)
        assert_close(a.astype("float32") / largest, b.astype("float32") / largest, atol=2e-2)


@pytest.mark.parametrize("length", [0, 3])
def test_bfloat16_hands_on_a_carry_that_is_not_rounded(length):
    config = dataclasses.replace(Config.stack(3, [20]), dtype="bfloat16")
    call = make_call(config, 5, (2,), 0)
    call = call._replace(times={"lengths": np.full(2, length, "int32")})
    (carry,), _ = run(call, "cpu")
    assert np.any(carry.h != carry.h.astype("bfloat16").astype("float32"))
    if length == 0:
        assert_close((carry,), call.carry, atol=0)


@pytest.mark.parametrize("sizes", [(0, 3), (4, 0), (0, 0)])
def test_no_steps_and_no_sequences(sizes):
    time, batch = sizes
    call = make_call(Config(3, (Layer(5, bidirectional=True),)), time, (batch,), 0)
    assert_close(run(call, "cpu"), run(call, "scan"))
    assert_close(gradients(call, "cpu"), gradients(call, "scan"))


def test_a_thousand_steps_stay_close_to_float64():
    """Contract 9: values; tests/test_precision.py has the gradients."""
    call = make_call(Config.stack(4, [20]), 1000, (3,), 0)
    call = call._replace(params=scaled(call.params))
    assert_close(run(call, "cpu"), expected(call), atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_sequence(value):
    """NaN spreads from where it is to all later steps of its own sequence, and no further."""
    call = make_call(Config.stack(3, [20]), 6, (9,), 0)
    xs = call.xs.copy()
    xs[2, 4, 1] = value
    ys = np.asarray(run(call, "cpu", xs=xs)[1])
    clean = np.asarray(run(call, "cpu")[1])
    others = np.arange(9) != 4
    np.testing.assert_array_equal(ys[:, others], clean[:, others])
    np.testing.assert_array_equal(ys[:2], clean[:2])
    assert np.isnan(ys[2:, 4]).all() == np.isnan(value)
    assert_close(run(call, "cpu", xs=xs)[1], run(call, "scan", xs=xs)[1], atol=2e-6)


def test_padding_never_leaks():
    """Contract 7."""
    call = make_call(Config.stack(3, [20, 7]), 8, (9,), 0, ("lengths", "mask"))
    valid = (np.arange(8)[:, None] < call.times["lengths"]) & call.times["mask"]
    xs = np.where(valid[..., None], call.xs, np.float32(np.nan))
    assert_close(run(call, "cpu", xs=xs), run(call, "cpu"), atol=0)
    assert_close(gradients(call._replace(xs=xs), "cpu"), gradients(call, "cpu"), atol=0)


@pytest.mark.parametrize("steps", [2, 6])
def test_results_are_the_same_for_every_batch(steps):
    """Each sequence by itself, bit for bit what it is among others: with two steps it reads
    weights where they are, with six, or among others, packed ones."""
    call = make_call(Config.stack(5, [70]), steps, (40,), 0)
    together = np.asarray(run(call, "cpu")[1])
    for n in (0, 13, 39):
        carry = jax.tree.map(lambda a, n=n: a[n : n + 1], call.carry)
        alone = run(call, "cpu", carry=carry, xs=call.xs[:, n : n + 1])[1]
        np.testing.assert_array_equal(together[:, n : n + 1], alone)


def test_members_with_flags_of_their_own():
    """Contract 3: vmap over params, lengths and resets at once."""
    call = make_call(Config(3, (Layer(6, bidirectional=True),)), 7, (4,), 0, ("lengths", "resets"))
    several = [make_call(call.config, 7, (4,), n, ("lengths", "resets")) for n in range(3)]

    def one(params, times, implementation):
        return jlstm.apply(
            call.config, params, None, call.xs, **times, implementation=implementation
        )

    def stacked(*a):
        return np.stack(a)

    params = jax.tree.map(stacked, *(s.params for s in several))
    times = jax.tree.map(stacked, *(s.times for s in several))

    def slope(params, times, implementation):
        return jax.grad(lambda p: loss(one(p, times, implementation)))(params)

    def of_all(function, implementation):
        return jax.vmap(lambda p, t: function(p, t, implementation))(params, times)

    for function in (one, slope):
        assert_close(of_all(function, "cpu"), of_all(function, "scan"), atol=1e-4)
