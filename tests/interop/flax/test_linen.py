"""Flax linen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer
from jlstm.interop import Report, from_linen, to_linen
from tests.interop.frameworks import (
    assert_agrees,
    assert_close,
    assert_goes_there_and_back,
    halved,
    networks,
    random_networks,
    run,
)

linen = pytest.importorskip("flax.linen")

BOTH_WAYS = networks(
    both=True,
    activations=("tanh", "relu", "sigmoid"),
    recurrent_activation=("sigmoid", "hard_sigmoid"),
)
XS = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")


def in_linen(config, cell="LSTMCell"):
    def rnn(layer):
        functions = {
            "activation_fn": jlstm.activations.function(layer.activation),
            "gate_fn": jlstm.activations.function(layer.recurrent_activation),
        }
        made = getattr(linen, cell)(layer.hidden_size, **functions)
        return linen.RNN(made, time_major=True, return_carry=True)

    def theirs(variables, xs):
        carries = []
        for layer, own in zip(config.layers, variables, strict=True):
            if layer.bidirectional:
                both = linen.Bidirectional(
                    rnn(layer), rnn(layer), time_major=True, return_carry=True
                )
                carry, xs = both.apply(own, xs)
                carry = jax.tree.map(lambda *ways: jnp.stack(ways), *carry)
            else:
                carry, xs = rnn(layer).apply({"params": {"cell": own["params"]}}, xs)
            carries.append(carry)
        return carries, xs

    return theirs


def read(config):
    """`from_linen` for cells with the activations of a config."""

    def back(variables):
        layers = [
            from_linen(
                own,
                activation=layer.activation,
                recurrent_activation=layer.recurrent_activation,
            )[1].layers[0]
            for layer, own in zip(config.layers, variables, strict=True)
        ]
        return jlstm.Params(tuple(layers))

    return back


@given(networks(both=True))
@random_networks
def test_there_and_back(call):
    assert_goes_there_and_back(call, to_linen, from_linen)


@pytest.mark.full
@given(cell=st.sampled_from(["LSTMCell", "OptimizedLSTMCell"]), call=BOTH_WAYS)
@random_networks
def test_linen_gives_what_a_network_gives(cell, call):
    call = halved(call)
    variables = to_linen(call.config, call.params)
    theirs = in_linen(call.config, cell)
    assert_agrees(call.config, call.params, theirs, variables, read(call.config), call.xs)


def test_linens_own_weights_and_activations():
    cell = linen.OptimizedLSTMCell(4, activation_fn=jax.nn.relu, gate_fn=jax.nn.hard_sigmoid)
    rnn = linen.RNN(cell, time_major=True)
    variables = rnn.init(jax.random.key(0), XS)
    own = {"activation": "relu", "recurrent_activation": "hard_sigmoid"}
    config, params = from_linen(variables, **own, report=(report := Report()))
    assert "pass time_major=False" in str(report)
    assert_close(run(config, params, XS)[1], rnn.apply(variables, XS))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"params": {"kernel": np.zeros((3, 4))}}, "no kernel of 2 axes for ii .*kernels ii"),
        ({"params": {"forward_rnn": {"cell": {}}}}, "no kernel of 2 axes for ii"),
        ({"params": {"forward_rnn": {"cell": 3}}}, "a cell in forward_rnn alone"),
        ({"forward_rnn": {}, "backward_rnn": {"cell": 3}}, "a cell in backward_rnn alone"),
        ({"params": {"LSTMCell_0": {"hf": {}}}}, "pass the part of one cell, such as 'LSTMCell_0'"),
        ({"params": {"cell": 3}}, "no kernel of 2 axes for ii"),
        ({"ii": {"kernel": np.float32(1)}}, "no kernel of 2 axes for ii"),
        ([], "list of variables is empty"),
    ],
)
def test_missing_variables(variables, words):
    with pytest.raises(ValueError, match=words):
        from_linen(variables)


@pytest.mark.parametrize("given", [linen.LSTMCell(4), linen.LSTMCell, 3, None, [3], {"params": 3}])
def test_what_is_no_variables(given):
    with pytest.raises(TypeError, match="expected"):
        from_linen(given)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (Layer(4, projection_size=2), "projection_size"),
        (Layer(4, bidirectional=True, merge="sum"), "merge"),
        (Layer(4, cell_activation="relu"), "uses one activation for the candidate and the output"),
    ],
)
def test_what_it_lacks_is_refused_by_name(layer, named):
    config = Config(6, (layer,))
    with pytest.raises(ValueError, match=named):
        to_linen(config, jlstm.init(jax.random.key(0), config))
