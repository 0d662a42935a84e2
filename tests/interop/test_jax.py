"""Weights to and from the other LSTMs in JAX: Flax, Haiku, Equinox, jax.experimental.rnn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

import jlstm
from jlstm import Config, Layer
from jlstm.interop import (
    from_cudnn,
    from_equinox,
    from_haiku,
    from_linen,
    from_nnx,
    to_cudnn,
    to_equinox,
    to_haiku,
    to_linen,
    to_nnx,
)
from tests.interop.frameworks import (
    assert_close,
    assert_goes_there_and_back,
    halved,
    input_slope,
    networks,
    random_networks,
    run,
    weighted,
)

pytestmark = pytest.mark.filterwarnings("ignore")

PLAIN = networks()
BOTH_WAYS = networks(both=True)
ACTIVATIONS = networks(
    most=1, activations=("tanh", "relu", "sigmoid"), recurrent_activation=("sigmoid", "softplus")
)
BIASLESS = networks(bias=(True, False))
ALIKE = networks(alike=True, both=True)


def assert_agrees(config, params, theirs, xs):
    """Outputs, and gradients for the input, of `theirs` and of a network."""
    assert_close(run(config, params, xs)[1], theirs(xs), atol=1e-5)
    slope = input_slope(config, params, xs)
    assert_close(slope, jax.grad(lambda xs: weighted(theirs(xs)))(xs), atol=1e-5)


def stepped(cells, xs):
    """Outputs of nnx or Equinox cells, called as `cell(carry, x)`, from zeros."""
    for cell, size in cells:
        carry = (jnp.zeros((xs.shape[1], size)),) * 2
        ys = []
        for x in xs:
            carry, y = cell(carry, x)
            ys.append(y)
        xs = jnp.stack(ys)
    return xs


# Flax linen --------------------------------------------------------------------------------------


def in_linen(linen, config, variables, xs, cell="LSTMCell"):
    for layer, own in zip(config.layers, variables, strict=True):
        functions = {
            "activation_fn": jlstm.activations.function(layer.activation),
            "gate_fn": jlstm.activations.function(layer.recurrent_activation),
        }

        def rnn(layer=layer, functions=functions):
            made = getattr(linen, cell)(layer.hidden_size, **functions)
            return linen.RNN(made, time_major=True)

        if layer.bidirectional:
            xs = linen.Bidirectional(rnn(), rnn(), time_major=True).apply(own, xs)
        else:
            xs = rnn().apply({"params": {"cell": own["params"]}}, xs)
    return xs


@given(BOTH_WAYS)
@random_networks
def test_linen_there_and_back(call):
    assert_goes_there_and_back(call, to_linen, from_linen)


@pytest.mark.parametrize("cell", ["LSTMCell", "OptimizedLSTMCell"])
@given(call=BOTH_WAYS)
@random_networks
def test_linen_gives_what_a_network_gives(cell, call):
    linen = pytest.importorskip("flax.linen")
    call = halved(call)
    variables = to_linen(call.config, call.params)
    assert_agrees(
        call.config,
        call.params,
        lambda xs: in_linen(linen, call.config, variables, xs, cell),
        call.xs,
    )


def test_linens_own_weights_and_activations():
    linen = pytest.importorskip("flax.linen")
    cell = linen.OptimizedLSTMCell(4, activation_fn=jax.nn.relu, gate_fn=jax.nn.hard_sigmoid)
    xs = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")
    rnn = linen.RNN(cell, time_major=True)
    variables = rnn.init(jax.random.key(0), xs)
    config, params = from_linen(variables, activation="relu", recurrent_activation="hard_sigmoid")
    assert_agrees(config, params, lambda xs: rnn.apply(variables, xs), xs)


def test_linens_missing_variables():
    with pytest.raises(ValueError, match=r"expected kernels ii, if"):
        from_linen({"params": {"kernel": np.zeros((3, 4))}})


# Flax nnx ----------------------------------------------------------------------------------------


@given(PLAIN)
@random_networks
def test_nnx_there_and_back(call):
    assert_goes_there_and_back(call, to_nnx, from_nnx)


@given(ACTIVATIONS)
@random_networks
def test_nnx_gives_what_a_network_gives(call):
    call = halved(call)
    cells = to_nnx(call.config, call.params)
    sizes = [layer.hidden_size for layer in call.config.layers]
    assert_agrees(
        call.config,
        call.params,
        lambda xs: stepped(list(zip(cells, sizes, strict=True)), xs),
        call.xs,
    )


@pytest.mark.parametrize("kind", ["LSTMCell", "OptimizedLSTMCell"])
def test_nnxs_own_weights(kind):
    nnx = pytest.importorskip("flax.nnx")
    xs = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")
    cell = getattr(nnx, kind)(3, 4, rngs=nnx.Rngs(0))
    assert_agrees(*from_nnx(cell), lambda xs: stepped([(cell, 4)], xs), xs)
    both = nnx.Bidirectional(nnx.RNN(cell), nnx.RNN(getattr(nnx, kind)(3, 4, rngs=nnx.Rngs(1))))
    config, params = from_nnx(both)
    assert_close(run(config, params, xs)[1], both(xs.swapaxes(0, 1)).swapaxes(0, 1), atol=1e-5)
    with pytest.raises(TypeError, match="expected nnx's LSTMCell"):
        from_nnx(nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))))


# Haiku -------------------------------------------------------------------------------------------


def in_haiku(hk, config, params, xs):
    def unroll(xs):
        core = hk.DeepRNN([hk.LSTM(layer.hidden_size) for layer in config.layers])
        return hk.dynamic_unroll(core, xs, core.initial_state(xs.shape[1]))[0]

    return hk.without_apply_rng(hk.transform(unroll)).apply(params, xs)


@given(PLAIN)
@random_networks
def test_haiku_there_and_back(call):
    """Bit for bit for biases with which adding 1 loses nothing."""
    layers = tuple(
        own._replace(b=np.round(own.b * 64) / np.float32(64)) for own in call.params.layers
    )
    assert_goes_there_and_back(call._replace(params=jlstm.Params(layers)), to_haiku, from_haiku)


@given(PLAIN)
@random_networks
def test_haiku_gives_what_a_network_gives(call):
    hk = pytest.importorskip("haiku")
    call = halved(call)
    own = to_haiku(call.config, call.params)
    assert_agrees(call.config, call.params, lambda xs: in_haiku(hk, call.config, own, xs), call.xs)


def test_haikus_own_weights():
    hk = pytest.importorskip("haiku")
    xs = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")

    def unroll(xs):
        core = hk.DeepRNN([hk.LSTM(2) for _ in range(12)])
        return hk.dynamic_unroll(core, xs, core.initial_state(2))[0]

    whole = hk.without_apply_rng(hk.transform(unroll))
    params = whole.init(jax.random.key(0), xs)
    assert_agrees(*from_haiku(params), lambda xs: whole.apply(params, xs), xs)
    with pytest.raises(ValueError, match="no LSTM"):
        from_haiku({"linear": {"w": np.zeros((3, 4)), "b": np.zeros(4)}})


# Equinox -----------------------------------------------------------------------------------------


@given(BIASLESS)
@random_networks
def test_equinox_there_and_back(call):
    assert_goes_there_and_back(call, to_equinox, from_equinox)


@given(BIASLESS)
@random_networks
def test_equinox_gives_what_a_network_gives(call):
    call = halved(call)

    def called(cell):
        def one(carry, x):
            carry = jax.vmap(cell)(x, carry)
            return carry, carry[0]

        return one

    cells = [called(cell) for cell in to_equinox(call.config, call.params)]
    sizes = [layer.hidden_size for layer in call.config.layers]
    assert_agrees(
        call.config,
        call.params,
        lambda xs: stepped(list(zip(cells, sizes, strict=True)), xs),
        call.xs,
    )


def test_equinoxs_own_weights():
    equinox = pytest.importorskip("equinox")
    cell = equinox.nn.LSTMCell(3, 4, key=jax.random.key(0))
    x = np.random.default_rng(0).normal(size=3).astype("float32")
    config, params = from_equinox([cell])
    (carry,), _ = jlstm.step(config, params, None, x)
    h, c = cell(x, (jnp.zeros(4), jnp.zeros(4)))
    assert_close((carry.c, carry.h), (c, h), atol=1e-6)
    with pytest.raises(TypeError, match=r"expected equinox\.nn\.LSTMCell"):
        from_equinox(equinox.nn.GRUCell(3, 4, key=jax.random.key(0)))


# cuDNN -------------------------------------------------------------------------------------------


@given(ALIKE)
@random_networks
def test_cudnns_weights_there_and_back(call):
    first = call.config.layers[0]

    def back(flat):
        shape = (call.config.input_size, first.hidden_size, len(call.config.layers))
        return from_cudnn(flat, *shape, first.bidirectional)

    assert_goes_there_and_back(call, to_cudnn, back)


@given(ALIKE)
@random_networks
def test_jax_experimental_rnn_gives_what_a_network_gives(call):
    """Its reference implementation runs everywhere, over batch-major input."""
    from jax.experimental import rnn

    call = halved(call)
    first, layers = call.config.layers[0], len(call.config.layers)
    sizes = (call.config.input_size, first.hidden_size, layers)
    zeros = jnp.zeros((layers * (2 if first.bidirectional else 1), 3, first.hidden_size))
    flat = to_cudnn(call.config, call.params)
    w_ih, w_hh, b_ih, b_hh = rnn.unpack_lstm_weights(flat, *sizes, first.bidirectional)

    def theirs(xs):
        lengths = jnp.full(3, xs.shape[0], "int32")
        ys, _, _ = rnn.lstm_ref(
            xs.swapaxes(0, 1),
            zeros,
            zeros,
            w_ih,
            w_hh,
            b_ih,
            b_hh,
            lengths,
            *sizes,
            0.0,
            first.bidirectional,
        )
        return ys.swapaxes(0, 1)

    assert_close(run(call.config, call.params, call.xs)[1], theirs(call.xs), atol=1e-5)


def test_a_vector_of_another_length():
    with pytest.raises(ValueError, match=r"shape \[7\]; expected \[192\]"):
        from_cudnn(np.zeros(7, "float32"), 6, 4, 1)


REFUSED = [
    (to_linen, Layer(4, projection_size=2), "projection_size"),
    (to_linen, Layer(4, bidirectional=True, merge="sum"), "merge"),
    (to_nnx, Layer(4, bidirectional=True), "bidirectional"),
    (to_haiku, Layer(4, activation="relu"), "activation"),
    (to_equinox, Layer(4, gate_clip=1.0), "gate_clip"),
    (to_cudnn, Layer(4, peepholes=True), "peepholes"),
]


@pytest.mark.parametrize("to, layer, named", REFUSED)
def test_what_a_framework_lacks_is_refused_by_name(to, layer, named):
    config = Config(6, (layer,))
    with pytest.raises(ValueError, match=named):
        to(config, jlstm.init(jax.random.key(0), config))
