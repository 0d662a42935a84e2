"""Calls that do not fit: contract 12."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer, Params
from tests.networks import assert_close

CONFIG = Config.stack(6, [4, 5])
PARAMS = jlstm.init(jax.random.key(0), CONFIG)
XS = jnp.ones((3, 2, 6))
START = jlstm.initial_carry(CONFIG, batch_shape=(2,))
NARROW = jlstm.LayerParams(
    jnp.ones((1, 16)),
    jnp.ones((4, 16)),
    jnp.ones(16),
    highway=jlstm.params.Highway(jnp.ones((1, 4)), jnp.ones(4)),
)


def apply(config=CONFIG, params=PARAMS, carry=None, xs=XS, **options):
    return jlstm.apply(config, params, carry, xs, **options)


def step(x=XS[0], carry=None, **options):
    return jlstm.step(CONFIG, PARAMS, carry, x, **options)


WRONG = [
    (lambda: apply(xs=jnp.ones((3, 2, 7))), ValueError, "with 6 features, but its last axis has 7"),
    (lambda: apply(xs=jnp.ones(6)), ValueError, "xs has shape (6,); expected [T, *batch, I]"),
    (lambda: apply(xs=jnp.ones((3, 2, 6), int)), TypeError, "xs has dtype int32"),
    (lambda: apply(xs=jnp.ones((3, 2, 6), complex)), TypeError, "xs has dtype complex64"),
    (lambda: apply(xs="text"), TypeError, "xs is str 'text'; expected an array"),
    (lambda: apply(xs=[[1.0], [1.0, 2.0]]), TypeError, "expected an array"),
    (lambda: apply(xs=None), TypeError, "expected an array"),
    (lambda: apply(lengths=np.array([4, 1])), ValueError, "lengths holds 4, but xs has 3 time"),
    (lambda: apply(lengths=np.array([-1, 1])), ValueError, "lengths holds -1"),
    (
        lambda: apply(lengths=jnp.array([1.0, 2.0])),
        TypeError,
        "lengths has dtype float32; expected whole",
    ),
    (lambda: apply(lengths=jnp.array([1])), ValueError, "lengths has shape (1,)"),
    (lambda: apply(lengths=3), ValueError, "lengths has shape (); expected one number for each"),
    (lambda: apply(mask=jnp.ones((3, 2))), TypeError, "mask has dtype float32; expected booleans"),
    (lambda: apply(mask=jnp.ones((2, 3), bool)), ValueError, "mask has shape (2, 3); expected (3,"),
    (lambda: apply(resets=jnp.ones(3, bool)), ValueError, "resets has shape (3,)"),
    (lambda: apply(resets=jnp.ones((3, 2), int)), TypeError, "resets has dtype int32"),
    (
        lambda: apply(key=jnp.zeros(7, "uint32")),
        ValueError,
        "key has shape (7,); raw keys of JAX's current generator have (2,)",
    ),
    (lambda: apply(carry=START[0]), TypeError, "expected a tuple with one Carry for each of the 2"),
    (lambda: apply(carry=list(START)), TypeError, "expected a tuple"),
    (lambda: apply(carry=START[:1]), ValueError, "carry holds 1 layers, the config has 2"),
    (lambda: apply(carry=START[::-1]), ValueError, "carry[0].c has shape (2, 5); expected (2, 4)"),
    (lambda: apply(carry=((1, 2), (3, 4))), TypeError, "expected jlstm.Carry(c=..., h=...)"),
    (
        lambda: apply(carry=jlstm.initial_carry(CONFIG, batch_shape=(3,))),
        ValueError,
        "carry[0].c has shape (3, 4); expected (2, 4)",
    ),
    (lambda: apply(params=PARAMS.layers), TypeError, "expected Params"),
    (lambda: apply(params=Params(PARAMS.layers[:1])), ValueError, "belong to another config"),
    (
        lambda: apply(params=jlstm.init(jax.random.key(0), Config.stack(6, [4, 6]))),
        ValueError,
        "params.layers[1].w_x has shape (4, 24); expected (4, 20)",
    ),
    (
        lambda: apply(config=Config.stack(6, [4, 5], bias=False)),
        ValueError,
        "params.layers[0].b is present, but the layer has bias=False",
    ),
    (
        lambda: apply(config=Config(6, CONFIG.layers, learn_initial_carry=True)),
        ValueError,
        "initial_carry is missing, but the config has learn_initial_carry=True",
    ),
    (lambda: apply(config=PARAMS), TypeError, "expected a Config such as Config.stack"),
    (lambda: jlstm.step("net", PARAMS, None, XS[0]), TypeError, "config is str 'net'"),
    (lambda: jlstm.trace(None, PARAMS, None, XS), TypeError, "config is NoneType None"),
    (lambda: jlstm.init(jax.random.key(0), [4, 5]), TypeError, "config is list [4, 5]"),
    (lambda: jlstm.initial_carry(4), TypeError, "config is int 4"),
    (lambda: jlstm.implementations("scan"), TypeError, "config is str 'scan'"),
    (lambda: jlstm.lstm(PARAMS.layers[0], None, XS, 4), TypeError, "layer is int 4; expected a"),
    (lambda: jlstm.lstm(PARAMS.layers[0], None, XS, lengths=[4, 1]), ValueError, "holds 4"),
    (lambda: apply(key=3), TypeError, "key is 3; expected a random key"),
    (lambda: step(key=jax.random.split(jax.random.key(0))), ValueError, "key has shape (2,)"),
    (lambda: jlstm.lstm(PARAMS.layers[0], None, XS, key=0), TypeError, "expected a random key"),
    (
        lambda: jlstm.lstm(PARAMS.layers[0], None, XS, Layer(4, residual=True)),
        ValueError,
        "layer has residual=True, but 6 inputs and 4 outputs",
    ),
    (
        lambda: jlstm.lstm_cell(NARROW, None, XS[0, :, :1], Layer(4, highway=True)),
        ValueError,
        "layer has highway=True, but 1 inputs and 4 outputs",
    ),
    (
        lambda: jlstm.lstm(PARAMS.layers[0], None, XS, Layer(4, skip=True)),
        ValueError,
        "layer has skip=True, which joins",
    ),
    (lambda: jlstm.lstm(NARROW, None, XS), ValueError, "pass the layer that the parameters belong"),
    (
        lambda: apply(mask=np.ones((2, 3), bool), time_major=False),
        ValueError,
        "mask has shape (2, 3); expected (3, 2): batch by time steps",
    ),
    (lambda: step(x=jnp.ones(7)), ValueError, "x has shape (7,)"),
    (lambda: step(x=jnp.ones(())), ValueError, "x has shape ()"),
    (lambda: step(reset=jnp.ones(3, bool)), ValueError, "reset has shape (3,); expected (2,)"),
    (lambda: step(carry=START[:1]), ValueError, "carry holds 1 layers"),
    (
        lambda: jlstm.lstm(PARAMS, None, XS),
        TypeError,
        "expected the LayerParams of one layer, such as params.layers[0]",
    ),
    (
        lambda: jlstm.lstm(PARAMS.layers[0], None, XS, Layer(7)),
        ValueError,
        "params.w_x has shape (6, 16); expected (6, 28)",
    ),
    (lambda: jlstm.lstm_cell(PARAMS.layers[0], START, XS[0]), TypeError, "expected jlstm.Carry(c="),
    (
        lambda: jlstm.lstm_cell(PARAMS.layers[0], START[1], XS[0]),
        ValueError,
        "carry.c has shape (2, 5); expected (2, 4)",
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
@pytest.mark.parametrize("jitted", [False, True])
def test_a_call_that_does_not_fit_says_what_came_and_what_was_expected(call, error, words, jitted):
    with pytest.raises(error) as raised:
        jax.jit(call)() if jitted else call()
    assert words in str(raised.value)


@pytest.mark.parametrize("layer", [Layer(4, bidirectional=True), Layer(4, reverse=True)])
def test_a_network_that_needs_the_whole_sequence_takes_no_steps(layer):
    config = Config(6, (Layer(3), layer))
    params = jlstm.init(jax.random.key(0), config)
    way = "bidirectional" if layer.bidirectional else "reverse"
    with pytest.raises(ValueError, match=f"layer 1 is {way}.*use apply"):
        jlstm.step(config, params, None, XS[0])
    with pytest.raises(ValueError, match=f"is {way}"):
        jlstm.lstm_cell(params.layers[1], None, jnp.ones(3), layer)


def test_parameters_of_two_directions_ask_for_their_layer():
    params = jlstm.init(jax.random.key(0), Config(6, (Layer(4, bidirectional=True),))).layers[0]
    with pytest.raises(ValueError, match="pass layer=Layer"):
        jlstm.lstm(params, None, XS)


def test_lists_of_numbers_are_arrays_too():
    xs = np.ones((3, 2, 6)).tolist()
    seen = apply(xs=xs, lengths=[3, 1], mask=[[True, True]] * 3, resets=[[False, True]] * 3)
    wanted = apply(lengths=np.array([3, 1]), resets=np.array([[False, True]] * 3))
    assert_close(seen, wanted)


def test_an_empty_batch_has_lengths_too():
    assert apply(xs=jnp.ones((3, 0, 6)), lengths=[])[1].shape == (3, 0, 5)
