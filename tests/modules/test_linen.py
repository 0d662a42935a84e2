"""linen.LSTM against nn.RNN and nn.Bidirectional over Flax's cells, and against `apply`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Layer
from tests.examples import mostly_full
from tests.modules.flax_cells import (
    BATCH,
    CALLS,
    CARRY,
    LENGTHS,
    STEPS,
    UNITS,
    XS,
    arguments,
    assert_close,
    cell,
    linen_variables,
    without_padding,
)

nn = pytest.importorskip("flax.linen")
modules = pytest.importorskip("jlstm.modules.linen")
LSTM, KEY = modules.LSTM, jax.random.key(0)


def params(module, xs=XS, seed=2):
    """Random variables of a module, and the same as Params of a network."""
    variables = linen_variables(module, xs, seed)
    return variables, *modules.network(module, variables)


def network_of(module):
    return modules.network(module, linen_variables(module))[0]


@functools.cache
def of_flax():
    rnn = nn.RNN(cell())
    variables = linen_variables(rnn)
    return rnn, variables, {"params": modules.params_from(variables)}


@pytest.mark.parametrize(
    "call",
    mostly_full(
        CALLS,
        [
            next(c for c in CALLS if c["seq_lengths"] and c["reverse"] and not c["keep_order"]),
            next(c for c in CALLS if all(c.values())),
        ],
    ),
    ids=lambda call: "-".join(name for name, on in call.items() if on) or "plain",
)
def test_a_call_gives_what_an_rnn_gives(call):
    rnn, theirs, ours = of_flax()
    xs, given = arguments(call)
    wanted = rnn.apply(theirs, xs, return_carry=True, **given)
    carry, ys = LSTM(UNITS).apply(ours, xs, return_carry=True, **given)
    assert_close(carry, wanted[0])
    assert_close(ys, without_padding(call, wanted[1]))
    np.testing.assert_array_equal(LSTM(UNITS).apply(ours, xs, **given), ys)


def test_what_the_constructor_says_holds_where_the_call_says_nothing():
    _, _, ours = of_flax()
    call = {"time_major": True, "reverse": True, "keep_order": True}
    xs = XS.swapaxes(0, 1)
    wanted = LSTM(UNITS).apply(ours, xs, return_carry=True, **call)
    assert_close(LSTM(UNITS, return_carry=True, **call).apply(ours, xs), wanted)
    off = dict.fromkeys(call, False)
    again = LSTM(UNITS, return_carry=True, **call).apply(ours, XS, return_carry=False, **off)
    assert_close(again, LSTM(UNITS).apply(ours, XS))


def test_gradients_are_those_of_an_rnn():
    rnn, theirs, ours = of_flax()

    def loss(module, variables, xs):
        return jnp.sum(jnp.sin(module.apply(variables, xs)) ** 2)

    wanted, wanted_xs = jax.grad(functools.partial(loss, rnn), (0, 1))(theirs, XS)
    found, found_xs = jax.grad(functools.partial(loss, LSTM(UNITS)), (0, 1))(ours, XS)
    assert_close(found_xs, wanted_xs, 1e-5)
    assert_close(found["params"], modules.params_from(wanted), 1e-5)


def test_two_directions_give_what_bidirectional_gives():
    theirs = nn.Bidirectional(nn.RNN(cell()), nn.RNN(cell()), return_carry=True)
    variables = linen_variables(theirs)
    lstm = LSTM(Layer(UNITS, bidirectional=True), return_carry=True)
    ours = {"params": modules.params_from(variables)}
    start = (CARRY, tuple(2 * a for a in CARRY))
    for given in ({}, {"initial_carry": start}, {"seq_lengths": jnp.asarray(LENGTHS)}):
        wanted = theirs.apply(variables, XS, **given)
        carry, ys = lstm.apply(ours, XS, **given)
        assert_close(carry, wanted[0])
        valid = np.arange(STEPS) < LENGTHS[:, None] if "seq_lengths" in given else np.ones(STEPS)
        assert_close(ys, wanted[1] * valid[..., None])


def test_bidirectional_of_flax_takes_the_module():
    both = nn.Bidirectional(LSTM(UNITS), LSTM(UNITS), return_carry=True)
    variables = linen_variables(both)
    forward, backward = (variables["params"][f"{way}_rnn"] for way in ("forward", "backward"))
    joined = jax.tree.map(lambda *ways: jnp.stack(ways), forward, backward)
    lstm = LSTM(Layer(UNITS, bidirectional=True), return_carry=True)
    given = {"seq_lengths": jnp.asarray(LENGTHS)}
    assert_close(both.apply(variables, XS, **given), lstm.apply({"params": joined}, XS, **given))


def test_a_stack_gives_what_rnns_in_a_row_give():
    rnns = [nn.RNN(cell()), nn.RNN(nn.LSTMCell(7))]
    first = linen_variables(rnns[0])
    hidden = rnns[0].apply(first, XS)
    second = linen_variables(rnns[1], hidden)
    ours = {"params": modules.params_from([first, second])}
    carry, ys = LSTM((UNITS, 7), return_carry=True).apply(ours, XS)
    assert_close(ys, rnns[1].apply(second, hidden))
    assert_close(carry[1], rnns[1].apply(second, hidden, return_carry=True)[0])
    # One layer in a list is a stack too.
    (own,), _ = LSTM([UNITS], return_carry=True).apply({"params": modules.params_from([first])}, XS)
    assert own.c.shape == (BATCH, UNITS)


def test_a_sequence_goes_on_from_the_carry_in_every_form():
    for features in (UNITS, (Layer(UNITS, bidirectional=True, merge="sum"), 2)):
        lstm = LSTM(features, return_carry=True)
        variables = linen_variables(lstm)
        carry, _ = lstm.apply(variables, XS)
        plain = jax.tree.map(
            lambda pair: tuple(pair), carry, is_leaf=lambda c: hasattr(c, "_fields")
        )
        again, _ = lstm.apply(variables, XS, initial_carry=carry)
        as_given, _ = lstm.apply(variables, XS, initial_carry=plain)
        assert jax.tree.structure(again) == jax.tree.structure(carry)
        assert jax.tree.structure(as_given) == jax.tree.structure(plain)
        assert_close(again, as_given)
    lstm = LSTM(UNITS, return_carry=True)
    variables = linen_variables(lstm)
    carry, first = lstm.apply(variables, XS[:, :2])
    last, second = lstm.apply(variables, XS[:, 2:], initial_carry=carry)
    whole = lstm.apply(variables, XS)
    assert_close((last, jnp.concatenate([first, second], 1)), whole)


def test_a_trained_module_is_a_network_of_the_library(tmp_path):
    lstm = LSTM((UNITS, Layer(2, layer_norm="gates_and_cell")))
    variables, config, own = params(lstm)
    jlstm.save(tmp_path / "model.safetensors", config, own)
    _, ys = jlstm.apply(*jlstm.load(tmp_path / "model.safetensors"), None, XS, time_major=False)
    assert_close(lstm.apply(variables, XS), ys)
    assert_close(lstm.apply({"params": modules.params_from(own)}, XS), ys)


def test_a_reversed_module_is_a_reversed_network():
    lstm = LSTM((UNITS, Layer(2, reverse=True)), reverse=True, keep_order=True)
    variables, config, own = params(lstm)
    assert [layer.reverse for layer in config.layers] == [True, False]
    _, ys = jlstm.apply(config, own, None, XS, lengths=LENGTHS, time_major=False)
    assert_close(lstm.apply(variables, XS, seq_lengths=LENGTHS), ys)


def test_a_traced_length_beyond_the_steps_counts_as_all_steps():
    lstm = LSTM(UNITS, reverse=True)
    variables = lstm.init(jax.random.key(0), XS)
    run = jax.jit(lambda lengths: lstm.apply(variables, XS, seq_lengths=lengths))
    assert_close(run(jnp.full(BATCH, STEPS + 2)), run(jnp.full(BATCH, STEPS)))


def test_variables_of_something_else_are_refused():
    for wrong in ({}, {"params": {}}, {"params": 3}, linen_variables(nn.RNN(cell()))):
        with pytest.raises(ValueError, match="expected the variables of the module"):
            modules.network(LSTM(UNITS), wrong)


@pytest.mark.parametrize(
    ("features", "given", "words"),
    [
        (4, {"initial_carry": CARRY[0]}, r"initial_carry is an array .*expected \(c, h\)"),
        (4, {"initial_carry": (CARRY,)}, r"a tuple of 1; expected \(c, h\)"),
        (4, {"initial_carry": (CARRY[0][:2], CARRY[1])}, r"carry\[0\]\.c has shape \(2, 4\)"),
        ((4, 4), {"initial_carry": (CARRY,)}, "one carry for each of the 2 layers"),
        (Layer(4, bidirectional=True), {"initial_carry": CARRY}, r"initial_carry\[0\] is an array"),
        (Layer(4, bidirectional=True), {"reverse": True}, "layer 0 is bidirectional"),
        (4, {"seq_lengths": LENGTHS + 1}, "lengths holds 7"),
        (4, {"resets": np.zeros((STEPS, BATCH), bool)}, "resets has shape"),
    ],
)
def test_wrong_arguments(features, given, words):
    with pytest.raises((TypeError, ValueError), match=words):
        jax.eval_shape(lambda key: LSTM(features).init(key, XS, **given), KEY)
