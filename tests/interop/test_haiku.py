"""Haiku."""

import jax
import numpy as np
import pytest
from hypothesis import given

import jlstm
from jlstm import Config, Layer
from jlstm.interop import Report, from_haiku, to_haiku
from tests.interop.frameworks import (
    assert_agrees,
    assert_close,
    assert_goes_there_and_back,
    halved,
    networks,
    random_networks,
    run,
)

hk = pytest.importorskip("haiku")

XS = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")


def in_haiku(*units):
    def unroll(xs):
        core = hk.DeepRNN([hk.LSTM(n) for n in units])
        ys, states = hk.dynamic_unroll(core, xs, core.initial_state(xs.shape[1]))
        return [(state.cell, state.hidden) for state in states], ys

    return hk.without_apply_rng(hk.transform(unroll))


def linear(inputs, units=4):
    return {
        "w": np.ones((inputs + units, 4 * units), "float32"),
        "b": np.zeros(4 * units, "float32"),
    }


@given(networks())
@random_networks
def test_there_and_back(call):
    """Bit for bit for biases with which adding 1 loses nothing."""
    layers = tuple(
        own._replace(b=np.round(own.b * 64) / np.float32(64)) for own in call.params.layers
    )
    assert_goes_there_and_back(call._replace(params=jlstm.Params(layers)), to_haiku, from_haiku)


@pytest.mark.full
@given(networks())
@random_networks
def test_haiku_gives_what_a_network_gives(call):
    call = halved(call)
    own = to_haiku(call.config, call.params)
    theirs = in_haiku(*(layer.hidden_size for layer in call.config.layers)).apply
    assert_agrees(call.config, call.params, theirs, own, lambda own: from_haiku(own)[1], call.xs)


def test_haikus_own_weights_in_the_order_of_their_numbers():
    whole = in_haiku(*[2] * 12)
    own = whole.init(jax.random.key(0), XS)
    report = Report()
    config, params = from_haiku(dict(sorted(own.items())), report=report)
    assert "lowest first: lstm/linear, lstm_1/linear, lstm_2/linear" in str(report)
    assert_close(run(config, params, XS)[1], whole.apply(own, XS)[1])


def test_networks_apart_are_not_stacked():
    own = {"encoder/lstm/linear": linear(6), "decoder/lstm/linear": linear(4)}
    with pytest.raises(
        ValueError, match=r"several LSTMs, \['decoder/lstm', 'encoder/lstm'\].*scope"
    ):
        from_haiku(own)
    assert from_haiku(own, scope="encoder/")[0] == Config(6, (Layer(4),))
    numbered = {"lstm/linear": linear(4), "lstm_1/linear": linear(4)}
    assert len(from_haiku(numbered, scope="lstm/")[0].layers) == 1
    assert len(from_haiku(numbered, scope="lstm_1")[0].layers) == 1


def test_a_linear_module_below_another_is_no_lstm_unless_it_is_named():
    class LstmHead(hk.Module):
        def __call__(self, xs):
            return hk.Linear(8)(xs)

    def unroll(xs):
        core = hk.DeepRNN([hk.LSTM(16, name="first"), hk.LSTM(16, name="first")])
        below = hk.dynamic_unroll(core, xs, core.initial_state(xs.shape[1]))[0]
        core = hk.DeepRNN([hk.LSTM(16), hk.LSTM(16)])
        return LstmHead()(hk.dynamic_unroll(core, below, core.initial_state(xs.shape[1]))[0])

    own = hk.transform(unroll).init(jax.random.key(0), XS)
    assert from_haiku(own)[0] == Config.stack(16, [16, 16])
    assert from_haiku(own, scope="first")[0] == Config.stack(3, [16, 16])
    assert from_haiku(own, scope="first_1")[0] == Config.stack(16, [16])
    with pytest.raises(ValueError, match=r'no LSTM.*pass that name: scope="my_lstm"'):
        from_haiku({"lstm_head/linear": linear(6, 2)})


@pytest.mark.parametrize(
    ("names", "numbers"),
    [(("lstm", "lstm_2"), "0, 2"), (("lstm_1",), "1"), (("lstm", "lstm_0", "lstm_1"), "0, 0, 1")],
)
def test_numbers_that_no_stack_has(names, numbers):
    own = {f"{name}/linear": linear(4) for name in names}
    with pytest.raises(ValueError, match=rf"the numbers \[{numbers}\]; expected 0, 1, 2"):
        from_haiku(own)
    assert len(from_haiku(own, scope=f"{names[-1]}/")[0].layers) == 1


def test_numbers_may_begin_with_a_written_0():
    own = {f"lstm_{n}/linear": linear(4) for n in (1, 0)}
    report = Report()
    assert from_haiku(own, report=report)[0] == Config.stack(4, [4, 4])
    assert "lowest first: lstm_0/linear, lstm_1/linear" in str(report)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"linear": linear(3)}, "no LSTM"),
        ({}, "no LSTM"),
        ({"lstm/linear": {"w": np.ones((7, 16))}}, "lstm/linear has no b"),
        (
            {"lstm/linear": {"w": np.float32(1), "b": np.ones(16)}},
            r"w of lstm/linear has shape \[\]",
        ),
        ({"lstm/linear": {"w": np.ones((7, 16)), "b": np.float32(1)}}, r"shape \[\]"),
    ],
)
def test_what_is_no_lstm(own, words):
    with pytest.raises(ValueError, match=words):
        from_haiku(own)


@pytest.mark.parametrize("given", [3, None, [linear(3)], {"lstm/linear": np.ones(3)}])
def test_what_are_no_parameters(given):
    with pytest.raises(TypeError, match="expected Haiku's parameters"):
        from_haiku(given)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (Layer(4, activation="relu"), "activation"),
        (Layer(4, bidirectional=True), "bidirectional"),
    ],
)
def test_what_it_lacks_is_refused_by_name(layer, named):
    config = Config(6, (layer,))
    with pytest.raises(ValueError, match=named):
        to_haiku(config, jlstm.init(jax.random.key(0), config))
