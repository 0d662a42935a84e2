"""The flat weights of jax.experimental.rnn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

import jlstm
from jlstm import Config, Layer
from jlstm.interop import from_cudnn, to_cudnn
from tests.interop.frameworks import (
    assert_agrees,
    assert_close,
    assert_goes_there_and_back,
    halved,
    networks,
    random_networks,
    run,
)

rnn = pytest.importorskip("jax.experimental.rnn")

ALIKE = networks(alike=True, both=True)


def shape_of(config):
    first = config.layers[0]
    return config.input_size, first.hidden_size, len(config.layers), first.bidirectional


def in_jax(config):
    """Its reference implementation, which runs everywhere, over batch-major input."""
    *sizes, both = shape_of(config)
    ways = 2 if both else 1

    def theirs(flat, xs):
        weights = rnn.unpack_lstm_weights(flat, *sizes, both)
        steps, batch, _ = xs.shape
        zeros = jnp.zeros((sizes[2] * ways, batch, sizes[1]))
        lengths = jnp.full(batch, steps, "int32")
        ys, h, c = rnn.lstm_ref(
            xs.swapaxes(0, 1), zeros, zeros, *weights, lengths, *sizes, 0.0, both
        )
        states = (a.reshape(-1, *[2] * both, batch, sizes[1]) for a in (c, h))
        return list(zip(*states, strict=True)), ys.swapaxes(0, 1)

    return theirs


@given(ALIKE)
@random_networks
def test_there_and_back(call):
    assert_goes_there_and_back(
        call, to_cudnn, lambda flat: from_cudnn(flat, *shape_of(call.config))
    )


@pytest.mark.full
@given(ALIKE)
@random_networks
def test_jax_experimental_rnn_gives_what_a_network_gives(call):
    call = halved(call)

    def read(flat):
        """As summed biases; the gradient for each of the two is that of the sum."""
        layers = from_cudnn(flat, *shape_of(call.config))[1].layers
        return jlstm.Params(tuple(own._replace(b=own.b / 2) for own in layers))

    flat = to_cudnn(call.config, call.params)
    assert_agrees(call.config, call.params, in_jax(call.config), flat, read, call.xs)


def test_both_biases_count():
    flat = rnn.init_lstm_weight(jax.random.key(0), 3, 4, 2, False)
    flat = flat + np.random.default_rng(0).normal(size=flat.shape).astype("float32") / 5
    config, params = from_cudnn(flat, 3, 4, 2)
    xs = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")
    assert_close(run(config, params, xs)[1], in_jax(config)(flat, xs)[1])


FLAT = np.zeros(192, "float32")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ((np.zeros(7, "float32"), 6, 4, 1), ValueError, r"shape \[7\]; expected \[192\]"),
        ((np.float32(1), 6, 4, 1), ValueError, r"shape \[\]; expected \[192\]"),
        ((FLAT, 6, 4, 0), ValueError, "num_layers is 0"),
        ((FLAT, 6, 4.0, 1), TypeError, "hidden_size is 4.0"),
        ((FLAT, "6", 4, 1), TypeError, "input_size is '6'"),
    ],
)
def test_what_does_not_fit(given, error, words):
    with pytest.raises(error, match=words):
        from_cudnn(*given)


def test_layers_that_differ_are_refused():
    config = Config.stack(6, [4, 5])
    with pytest.raises(ValueError, match="the layers differ"):
        to_cudnn(config, jlstm.init(jax.random.key(0), config))


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (Layer(4, peepholes=True), "peepholes"),
        (Layer(4, reverse=True), "reverse"),
    ],
)
def test_what_it_lacks_is_refused_by_name(layer, named):
    config = Config(6, (layer,))
    with pytest.raises(ValueError, match=named):
        to_cudnn(config, jlstm.init(jax.random.key(0), config))
