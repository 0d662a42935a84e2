"""The stack against a float64 reference: contracts 1, 2, 4, 5, 6, 7 and 11."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer
from tests.networks import apply, assert_close, calls, expected, loss, make_call


def agrees_with_the_reference(call):
    assert_close(apply(call), expected(call))


@given(calls())
def test_apply_agrees_with_the_reference(call):
    """Contracts 4 to 6."""
    agrees_with_the_reference(call)


@pytest.mark.long
@settings(settings.get_profile("long"))
@given(calls())
def test_apply_agrees_with_the_reference_on_many_networks(call):
    """Contracts 4 to 6."""
    agrees_with_the_reference(call)


@given(calls(streams=True, given=["resets"]))
def test_steps_agree_with_the_whole(call):
    """Contract 1: values and gradients."""

    def stepped(params, carry, xs):
        def body(carry, step):
            return jlstm.step(call.config, params, carry, step[0], reset=step[1])

        resets = call.times.get("resets", np.zeros(xs.shape[:-1], bool))
        return jax.lax.scan(body, carry, (xs, resets))

    def whole(params, carry, xs):
        return jlstm.apply(call.config, params, carry, xs, **call.times)

    args = (call.params, call.carry, call.xs)
    assert_close(stepped(*args), whole(*args))
    gradients = [
        jax.grad(lambda *args, run=run: loss(run(*args)), (0, 1, 2))(*args)
        for run in (stepped, whole)
    ]
    assert_close(*gradients, atol=1e-4)


def test_step_is_a_scan_body_as_it_stands():
    """Contract 1."""
    one = make_call(Config.stack(6, [4, 5]), 7, (2,), 0)
    stepped = jax.lax.scan(functools.partial(jlstm.step, one.config, one.params), one.carry, one.xs)
    assert_close(stepped, apply(one))


@given(calls(streams=True), st.integers(0, 6))
def test_a_sequence_may_be_split_anywhere(call, at):
    """Contract 2: the carry holds all that the rest of the sequence needs."""
    lengths = call.times.get("lengths")
    carry, parts = call.carry, []
    for start, stop in ((0, at), (at, len(call.xs))):
        times = {name: a[start:stop] for name, a in call.times.items() if name != "lengths"}
        if lengths is not None:
            times["lengths"] = np.clip(lengths - start, 0, len(call.xs[start:stop]))
        carry, ys = apply(call, carry=carry, xs=call.xs[start:stop], times=times)
        parts.append(ys)
    assert_close((carry, jnp.concatenate(parts)), apply(call))


@given(st.integers(0, 5), st.sets(st.sampled_from(["mask", "resets"])))
def test_a_reverse_network_may_be_split_anywhere_from_its_end(at, given):
    """Contract 2, backwards."""
    config = Config(3, (Layer(3, reverse=True), Layer(2, reverse=True)))
    call = make_call(config, 5, (2,), at, given)
    carry, parts = call.carry, []
    for span in (slice(at, None), slice(0, at)):
        times = {name: a[span] for name, a in call.times.items()}
        carry, ys = apply(call, carry=carry, xs=call.xs[span], times=times)
        parts.insert(0, ys)
    assert_close((carry, jnp.concatenate(parts)), apply(call))


@given(calls())
def test_no_carry_means_the_initial_carry(call):
    """Contract 4."""
    start = jlstm.initial_carry(call.config, call.params, call.xs.shape[1:-1])
    assert_close(apply(call, carry=None), apply(call, carry=start), atol=0)
    assert isinstance(apply(call)[0], tuple) and len(apply(call)[0]) == len(call.config.layers)


@given(calls(given=["lengths", "resets"]))
def test_length_zero_returns_the_carry_given(call):
    """Contract 5, with resets too: nothing happens past the length."""
    none = np.zeros(call.xs.shape[1:-1], "int32")
    carry, ys = apply(call, times=call.times | {"lengths": none})
    assert_close(carry, call.carry, atol=0)
    if not any(layer.residual for layer in call.config.layers):
        assert not np.any(ys)


@given(calls(given=["mask", "resets"]), st.integers(0, 5))
def test_a_length_is_a_shorter_sequence(call, length):
    """Contract 5."""
    length = min(length, len(call.xs))
    lengths = np.full(call.xs.shape[1:-1], length, "int32")
    carry, ys = apply(call, times=call.times | {"lengths": lengths})
    cut = {name: a[:length] for name, a in call.times.items()}
    carry_of_cut, ys_of_cut = apply(call, xs=call.xs[:length], times=cut)
    assert_close((carry, ys[:length]), (carry_of_cut, ys_of_cut))
    assert not np.any(ys[length:])


@given(calls(streams=True, given=["lengths", "mask"]), st.integers(0, 5))
def test_a_reset_starts_a_new_sequence(call, at):
    """Contract 6: what follows a reset is what a call from the initial carry gives."""
    at = min(at, len(call.xs) - 1)
    resets = np.zeros(call.xs.shape[:-1], bool)
    resets[at] = True
    times = {name: a for name, a in call.times.items() if name != "lengths"}
    carry, ys = apply(call, times=times | {"resets": resets})
    rest = {name: a[at:] for name, a in times.items()}
    assert_close((carry, ys[at:]), apply(call, carry=None, xs=call.xs[at:], times=rest))


@given(calls())
def test_what_stands_in_padding_changes_nothing(call):
    """Contract 7: values and gradients, whatever the padding holds."""
    valid = np.ones(call.xs.shape[:-1], bool)
    if "mask" in call.times:
        valid = valid & call.times["mask"]
    if "lengths" in call.times:
        steps = np.arange(len(call.xs)).reshape(-1, *(1,) * call.times["lengths"].ndim)
        valid = valid & (steps < call.times["lengths"])

    def everything(padding):
        xs = np.where(valid[..., None], call.xs, np.float32(padding))

        def of(params, carry, xs):
            out = apply(call, params=params, carry=carry, xs=xs)
            return loss(out), out

        return jax.value_and_grad(of, (0, 1, 2), has_aux=True)(call.params, call.carry, xs)

    (_, out), gradients = everything(0.0)
    for padding in (np.nan, np.inf):
        (_, seen), seen_gradients = everything(padding)
        assert_close(seen, out, atol=0)
        assert_close(seen_gradients, gradients, atol=1e-6)
    assert not np.any(gradients[2][~valid])


@pytest.mark.parametrize("implementation", ["cpu", "scan"])
@pytest.mark.parametrize("times", ["length 0", "reset after padding"])
def test_a_carry_that_plays_no_part_may_be_nan(implementation, times):
    """It reaches neither outputs nor gradients of parameters: contract 7, for what is held."""
    call = make_call(Config.stack(2, [3]), 3, (2,), 0)
    carry = jax.tree.map(lambda a: np.where([[True], [False]], np.nan, a), call.carry)
    mask, resets = np.ones((3, 2), bool), np.zeros((3, 2), bool)
    mask[0, 0], resets[1, 0] = False, True
    given = {"lengths": np.array([0, 3])}
    given = given if times == "length 0" else {"mask": mask, "resets": resets}

    def total(params, carry):
        out = jlstm.apply(
            call.config, params, carry, call.xs, **given, implementation=implementation
        )
        return loss(out[1])

    slope, clean = (jax.grad(total)(call.params, c) for c in (carry, call.carry))
    assert_close(slope, clean, atol=1e-6)


@given(calls())
def test_batch_major_is_time_major_with_its_axes_moved(call):
    def moved(a):
        return np.moveaxis(a, 0, len(call.xs.shape) - 2)

    times = {name: a if name == "lengths" else moved(a) for name, a in call.times.items()}
    carry, ys = jlstm.apply(
        call.config, call.params, call.carry, moved(call.xs), time_major=False, **times
    )
    wanted_carry, wanted = apply(call)
    assert_close((carry, ys), (wanted_carry, jnp.asarray(moved(wanted))), atol=1e-6)


@given(calls())
def test_trace_sees_what_apply_computes(call):
    seen = jlstm.trace(call.config, call.params, call.carry, call.xs, **call.times)
    assert_close((seen.carry, seen.ys), apply(call))
    for layer, one in zip(call.config.layers, seen.layers, strict=True):
        shape = (*call.xs.shape[:-1], layer.hidden_size)
        for a in one:
            assert a.shape == ((2, *shape) if layer.bidirectional else shape)


def test_a_trace_obeys_the_equations():
    one = make_call(Config.stack(3, [4]), 5, (2,), 0)
    seen = jlstm.trace(one.config, one.params, one.carry, one.xs).layers[0]
    c_before = np.concatenate([one.carry[0].c[None], seen.c[:-1]])
    np.testing.assert_allclose(seen.c, seen.f * c_before + seen.i * seen.g, atol=1e-6)
    np.testing.assert_allclose(seen.h, seen.o * np.tanh(seen.c), atol=1e-6)


def test_no_steps_return_the_carry_given():
    one = make_call(Config(3, (Layer(4, bidirectional=True), Layer(5))), 0, (2,), 0)
    carry, ys = apply(one)
    assert_close(carry, one.carry, atol=0)
    assert ys.shape == (0, 2, 5)


DROPPING = Config(3, (Layer(40, dropout=0.5), Layer(50, dropout=0.25)))


def test_without_a_key_nothing_is_dropped():
    """Contract 11."""
    one = make_call(DROPPING, 4, (2,), 0)
    keeping = Config.stack(3, [40, 50])
    assert_close(apply(one), apply(one._replace(config=keeping)), atol=0)


def test_one_key_gives_one_result_and_another_key_another():
    """Contract 11."""
    one = make_call(DROPPING, 4, (2,), 0)

    def run(seed):
        key = jax.random.key(seed)
        return jlstm.apply(one.config, one.params, one.carry, one.xs, key=key)

    assert_close(run(0), run(0), atol=0)
    assert np.any(run(0)[1] != run(1)[1])


def test_steps_with_split_keys_drop_what_apply_drops():
    """Contracts 1 and 11."""
    one = make_call(DROPPING, 6, (2,), 0)
    key = jax.random.key(3)

    def body(carry, at):
        return jlstm.step(one.config, one.params, carry, at[0], key=at[1])

    stepped = jax.lax.scan(body, one.carry, (one.xs, jax.random.split(key, 6)))
    assert_close(stepped, jlstm.apply(one.config, one.params, one.carry, one.xs, key=key))


def test_dropout_zeroes_its_fraction_of_a_layers_input_and_scales_up_the_rest():
    # With zero weights a residual layer adds nothing to its input, which is then all one sees.
    config = Config(50, (Layer(50, dropout=0.3, residual=True),))
    params = jax.tree.map(jnp.zeros_like, jlstm.init(jax.random.key(0), config))
    _, ys = jlstm.apply(config, params, None, jnp.ones((40, 30, 50)), key=jax.random.key(1))
    kept = ys != 0
    assert abs(float(kept.mean()) - 0.7) < 0.01
    np.testing.assert_allclose(ys[kept], 1 / 0.7, rtol=1e-6)
    rates = np.asarray(kept.mean((1, 2))), np.asarray(kept.mean((0, 2)))
    assert all(abs(rate - 0.7) < 0.05 for rate in np.concatenate(rates))


def test_a_held_mask_of_inputs_is_one_for_all_steps_of_a_sequence():
    config = Config(50, (Layer(50, dropout=0.3, residual=True, held_masks=True),))
    params = jax.tree.map(jnp.zeros_like, jlstm.init(jax.random.key(0), config))
    _, ys = jlstm.apply(config, params, None, jnp.ones((4, 30, 50)), key=jax.random.key(1))
    assert jnp.array_equal(ys[0], ys[3]) and not jnp.array_equal(ys[:, 0], ys[:, 1])
    assert abs(float((ys != 0).mean()) - 0.7) < 0.05


def test_zoneout_keeps_its_share_of_the_carry():
    layer = Layer(50, zoneout_c=0.2, zoneout_h=0.7)
    params = jax.tree.map(jnp.zeros_like, jlstm.init(jax.random.key(0), Config(1, (layer,))))
    start = jlstm.Carry(*2 * [jnp.ones((200, 50))])
    xs = jnp.ones((1, 200, 1))
    last, _ = jlstm.lstm(params.layers[0], start, xs, layer, key=jax.random.key(1))
    assert abs(float((last.c == 1).mean()) - 0.2) < 0.02
    assert abs(float((last.h == 1).mean()) - 0.7) < 0.02


@pytest.mark.parametrize("option", ["recurrent_dropout", "weight_dropout"])
def test_what_is_dropped_on_the_way_from_h_is_its_fraction_and_the_rest_is_scaled_up(option):
    # W_h takes each unit's h to its own candidate, so that what is dropped shows as a zero there.
    config = Config(1, (Layer(50, forget_bias=0.0, **{option: 0.3}),))
    w_h = jnp.zeros((50, 200)).at[:, 100:150].set(jnp.eye(50))
    params = jlstm.Params((jlstm.LayerParams(jnp.zeros((1, 200)), w_h, jnp.zeros(200)),))
    candidates = []
    for seed in range(40):
        carry = (jlstm.Carry(jnp.zeros((1, 50)), jnp.ones((1, 50))),)
        key = jax.random.key(seed)
        last, _ = jlstm.apply(config, params, carry, jnp.ones((1, 1, 1)), key=key)
        candidates.append(jnp.arctanh(2 * last[0].c))  # c = i g, and i is one half
    kept = jnp.stack(candidates) != 0
    assert abs(float(kept.mean()) - 0.7) < 0.04
    np.testing.assert_allclose(jnp.stack(candidates)[kept], 1 / 0.7, rtol=1e-4)


def test_layers_drop_independently():
    """Contract 11."""
    layer = Layer(50, dropout=0.5, residual=True)
    config = Config(50, (layer, layer))
    params = jax.tree.map(jnp.zeros_like, jlstm.init(jax.random.key(0), config))
    _, ys = jlstm.apply(config, params, None, jnp.ones((40, 30, 50)), key=jax.random.key(1))
    assert abs(float((ys != 0).mean()) - 0.25) < 0.01
