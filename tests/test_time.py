"""Spans of time, packed rows, images over time: what is beyond one plain sequence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jlstm
from jlstm import Carry, Config, Layer
from tests.networks import apply, assert_close, calls, loss, make_call

HARD = Layer(4, recurrent_activation="hard_sigmoid", activation="relu", cell_activation="relu")
NOISY = Layer(4, dropout=0.3, recurrent_dropout=0.3, held_masks=True, weight_dropout=0.2)


@settings(max_examples=15)
@given(calls(streams=True), st.sampled_from([1, 2, 3, 9, "sqrt"]))
def test_rematerialisation_changes_memory_and_nothing_else(call, remat):
    def total(args, times):
        params, carry, xs = args
        return loss(apply(call, params=params, carry=carry, xs=xs, times=times))

    args = (call.params, call.carry, call.xs)
    seen, wanted = call.times | {"remat": remat}, call.times
    assert_close(apply(call, times=seen), apply(call, times=wanted), atol=1e-5)
    assert_close(jax.grad(total)(args, seen), jax.grad(total)(args, wanted), atol=1e-4)


@pytest.mark.parametrize("steps", [2, 4, 7])
def test_spans_draw_what_a_whole_sequence_draws(steps):
    call = make_call(Config(3, (NOISY, Layer(2, dropout=0.3))), 7, (2,), 0)
    times = {"key": jax.random.key(0)}
    wanted = apply(call, times=times)
    assert_close(apply(call, times=times | {"remat": steps}), wanted, atol=1e-5)
    args = (call.config, call.params, call.carry, call.xs, steps)
    assert_close(jlstm.apply_truncated(*args, **times), wanted, atol=1e-5)


def training_memory(remat):
    """Bytes that a training step on the last state works in, as the compiler says."""
    config = Config.stack(256, [256])
    shapes = jax.eval_shape(lambda: jlstm.init(jax.random.key(0), config))

    def total(params, xs):
        (last,), _ = jlstm.apply(config, params, None, xs, remat=remat)
        return (last.h**2).sum()

    xs = jax.ShapeDtypeStruct((16384, 8, 256), jnp.float32)
    return jax.jit(jax.grad(total)).lower(shapes, xs).compile().memory_analysis().temp_size_in_bytes


def test_rematerialisation_takes_a_tenth_of_the_memory():
    assert training_memory("sqrt") <= training_memory(None) / 10


@settings(max_examples=15)
@given(calls(streams=True, given=("mask", "resets")), st.integers(1, 7))
def test_truncated_gradients_are_those_of_spans_one_after_the_other(call, steps):
    """Contract 2, and no gradient from one span to the one before."""

    def at_once(args):
        params, carry, xs = args
        return loss(jlstm.apply_truncated(call.config, params, carry, xs, steps, **call.times))

    def in_turn(args):
        params, carry, xs = args
        ys = []
        for start in range(0, len(xs), steps):
            span = slice(start, start + steps)
            times = {name: a[span] for name, a in call.times.items()}
            carry = carry if start == 0 else jax.lax.stop_gradient(carry)
            carry, y = apply(call, params=params, carry=carry, xs=xs[span], times=times)
            ys.append(y)
        return loss((carry, jnp.concatenate(ys)))

    args = (call.params, call.carry, call.xs)
    assert_close(at_once(args), in_turn(args), atol=1e-4)
    assert_close(jax.grad(at_once)(args), jax.grad(in_turn)(args), atol=1e-4)


@pytest.mark.parametrize("layer", [Layer(4, bidirectional=True), Layer(4, reverse=True)])
def test_spans_need_a_network_that_runs_forward(layer):
    call = make_call(Config(3, (layer,)), 4, (2,), 0)
    with pytest.raises(ValueError, match="remat goes span by span"):
        apply(call, times={"remat": 2})
    with pytest.raises(ValueError, match="truncated backpropagation goes span by span"):
        jlstm.apply_truncated(call.config, call.params, None, call.xs, 2)


def sequences_of(lengths, features=3):
    draw = np.random.default_rng(0)
    return [draw.normal(size=(n, features)).astype("float32") for n in lengths]


LENGTHS = {
    # Those of the Japanese vowels of Kudo et al. (1999) lie within 7 and 29.
    "vowels": lambda draw: np.clip(np.round(draw.normal(15.6, 3.6, 270)), 7, 29).astype(int),
    "log-normal": lambda draw: np.clip(draw.lognormal(3, 0.7, 300).astype(int), 1, 200),
}


@pytest.mark.parametrize("kind", LENGTHS)
def test_little_of_a_packed_batch_is_padding(kind):
    lengths = LENGTHS[kind](np.random.default_rng(0))
    packed = jlstm.pack(sequences_of(lengths), row_length=200)
    assert packed.mask.sum() == lengths.sum()
    assert 1 - packed.mask.mean() < 0.1


@settings(max_examples=15)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.booleans(), st.booleans())
def test_packed_sequences_give_what_they_give_alone(lengths, both, learned):
    """Values, and gradients for parameters."""
    config = Config(3, (Layer(4, bidirectional=both), Layer(2)), learn_initial_carry=learned)
    params = make_call(config, 1, (1,), 0).params
    sequences = sequences_of(lengths)
    packed = jlstm.pack(sequences, row_length=9)

    def together(params):
        _, ys = jlstm.apply(config, params, None, packed.xs, mask=packed.mask, resets=packed.resets)
        return jlstm.unpack(packed, ys)

    def alone(params):
        return [jlstm.apply(config, params, None, xs)[1] for xs in sequences]

    assert_close(together(params), alone(params), atol=1e-5)
    slopes = [jax.grad(lambda p, run=run: loss(run(p)))(params) for run in (together, alone)]
    assert_close(*slopes, atol=1e-4)


@pytest.mark.parametrize(
    ("sequences", "words"),
    [
        ([], "at least one"),
        ([np.ones((3, 2)), np.ones((3, 4))], r"sequences\[1\] is float64\[3, 4\]"),
        ([np.ones((3, 2)), np.ones((9, 2))], "has 9 steps, a row 5"),
        ([np.ones(3)], "expected \\[T, I\\]"),
    ],
)
def test_what_cannot_be_packed_is_refused(sequences, words):
    with pytest.raises(ValueError, match=words):
        jlstm.pack(sequences, row_length=5)


CONVOLUTIONS = {
    "1": ((9,), (3,), {}),
    "1, same, stride 2": ((9,), (3,), {"strides": 2, "padding": "same"}),
    "2": ((6, 5), (3, 2), {}),
    "2, same, dilated": ((6, 7), (3, 3), {"dilation": 2, "padding": "same"}),
    "2, hard sigmoid, relu": (
        (6, 5),
        (2, 2),
        {
            "layer": Layer(
                4, recurrent_activation="hard_sigmoid", activation="relu", cell_activation="relu"
            )
        },
    ),
    "3": ((4, 5, 4), (2, 3, 2), {}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", CONVOLUTIONS)
def test_conv_lstm_is_that_of_keras(row):
    keras = pytest.importorskip("keras")
    space, kernel, options = CONVOLUTIONS[row]
    layer = options.get("layer")
    draw = np.random.default_rng(0)
    xs = draw.normal(size=(3, 2, *space, 3)).astype("float32")
    one = getattr(keras.layers, f"ConvLSTM{len(space)}D")(
        4,
        kernel,
        strides=options.get("strides", 1),
        padding=options.get("padding", "valid"),
        dilation_rate=options.get("dilation", 1),
        activation="relu" if layer else "tanh",
        recurrent_activation="hard_sigmoid" if layer else "sigmoid",
        return_sequences=True,
        return_state=True,
    )
    one.build((2, 3, *space, 3))
    weights = [draw.normal(size=w.shape).astype("float32") / 4 for w in one.get_weights()]
    one.set_weights(weights)
    ys, h, c = one(np.swapaxes(xs, 0, 1))
    wanted = Carry(np.asarray(c), np.asarray(h)), np.swapaxes(np.asarray(ys), 0, 1)
    assert_close(jlstm.conv_lstm(jlstm.ConvParams(*weights), None, xs, **options), wanted, 1e-5)


def test_conv_lstm_of_single_places_is_a_plain_lstm():
    """With kernels of one place, masks and resets as everywhere."""
    call = make_call(Config.stack(3, [4]), 6, (2,), 0, ("mask", "resets"))
    own = call.params.layers[0]
    params = jlstm.ConvParams(own.w_x[None], own.w_h[None], own.b)
    carry = jax.tree.map(lambda a: a[:, None], call.carry[0])
    seen = jlstm.conv_lstm(params, carry, call.xs[:, :, None], **call.times)
    (last,), ys = apply(call)
    wanted = jax.tree.map(lambda a: a[:, None], last), ys[:, :, None]
    assert_close(seen, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"xs": np.ones((2, 1, 8, 3), "f4")}, "2 dimensions of space"),
        ({"padding": "full"}, "padding is 'full'"),
        ({"mask": np.ones((1, 2), bool)}, r"mask has shape \(1, 2\); expected \(2, 1\)"),
        ({"layer": Layer(4, peepholes=True)}, "a ConvLSTM of 4 filters knows"),
        ({"carry": Carry(np.ones((1, 8, 8, 4)), np.ones((1, 8, 8, 4)))}, "carry.c has shape"),
    ],
)
def test_what_a_conv_lstm_cannot_take_is_refused(change, words):
    params = jlstm.init_conv_lstm(jax.random.key(0), 3, 4, (3, 3))
    given = {"carry": None, "xs": np.ones((2, 1, 8, 8, 3), "f4")} | change
    with pytest.raises(ValueError, match=words):
        jlstm.conv_lstm(params, given.pop("carry"), given.pop("xs"), **given)
