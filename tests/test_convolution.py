"""ConvLSTM beside Keras, with gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Carry, Config, Layer
from tests.examples import mostly_full
from tests.networks import apply, assert_close, loss, make_call

HARD = Layer(4, recurrent_activation="hard_sigmoid", activation="relu", cell_activation="relu")
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
@pytest.mark.parametrize("row", mostly_full(list(CONVOLUTIONS), ["1, same, stride 2"]))
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

    state = [variable.value for variable in one.non_trainable_variables]

    def in_keras(weights, xs):
        (ys, h, c), _ = one.stateless_call(weights, state, jnp.swapaxes(xs, 0, 1))
        return Carry(c, h), jnp.swapaxes(ys, 0, 1)

    def own(weights, xs):
        return jlstm.conv_lstm(jlstm.ConvParams(*weights), None, xs, **options)

    assert_close(own(weights, xs), in_keras(weights, xs), 1e-5)
    slopes = [
        jax.grad(lambda args, run=run: loss(run(*args)))((weights, xs)) for run in (own, in_keras)
    ]
    assert_close(*slopes, atol=1e-4)


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


def images(kernel=(3, 3), **changes):
    """Arguments of a call, some of them changed, and options."""
    params = jlstm.init_conv_lstm(jax.random.key(0), 3, 4, kernel)
    given = {"params": params, "carry": None, "xs": np.ones((2, 1, 8, 8, 3), "f4")} | changes
    return [given.pop(name) for name in ("params", "carry", "xs")], given


def test_conv_lstm_does_not_look_at_padding():
    """Values there, NaN too, change neither outputs nor gradients."""
    mask = np.array([[True, False], [False, True], [True, True]])
    draw = np.random.default_rng(0)
    xs = draw.normal(size=(3, 2, 8, 8, 3)).astype("float32")
    (params, *_), _ = images()

    def run(args, padding):
        params, xs = args
        xs = jnp.where(mask[..., None, None, None], xs, padding)
        return loss(jlstm.conv_lstm(params, None, xs, mask=mask))

    seen, wanted = (jax.value_and_grad(run)((params, xs), fill) for fill in (np.nan, 0.0))
    assert_close(seen, wanted, atol=0)


@pytest.mark.full
def test_a_carry_that_plays_no_part_in_a_conv_lstm_may_be_nan():
    """It reaches no gradient of parameters."""
    (params, _, xs), _ = images()
    xs, start = np.concatenate([xs, xs], axis=1), jlstm.conv_lstm(params, None, xs)[0]
    clean = jax.tree.map(lambda a: jnp.concatenate([a, a]), start)
    broken = jax.tree.map(lambda a: a.at[0].set(jnp.nan), clean)
    mask = np.array([[False, True]] * len(xs))

    def total(params, carry):
        return loss(jlstm.conv_lstm(params, carry, xs, mask=mask)[1])

    slope, wanted = (jax.grad(total)(params, carry) for carry in (broken, clean))
    assert_close(slope, wanted, atol=1e-5)


def test_conv_lstm_takes_products_in_the_dtype_of_its_weights_and_keeps_its_state_in_float32():
    args, _ = images()
    half = jax.tree.map(lambda a: jnp.asarray(a, "bfloat16"), args)
    (carry, ys), wanted = jlstm.conv_lstm(*half), jlstm.conv_lstm(*args)
    assert {carry.c.dtype, carry.h.dtype, ys.dtype} == {jnp.dtype("float32")}
    assert_close((carry, ys), wanted, atol=2e-2)


def test_strides_and_dilation_may_differ_by_dimension():
    args, options = images(strides=(1, 2), dilation=(2, 1))
    assert jlstm.conv_lstm(*args, **options)[1].shape == (2, 1, 4, 3, 4)


WIDE = jlstm.ConvParams(np.ones((3, 3, 3, 16)), np.ones((3, 3, 1, 16)))
LONG_BIAS = jlstm.ConvParams(np.ones((3, 3, 3, 16)), np.ones((3, 3, 4, 16)), np.ones(1))
WHOLE = jlstm.ConvParams(np.ones((3, 3, 3, 16), int), np.ones((3, 3, 4, 16)))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"xs": np.ones((2, 1, 8, 3), "f4")}, ValueError, "2 dimensions of space"),
        ({"xs": np.ones((2, 1, 8, 8, 3), int)}, TypeError, "xs has dtype int"),
        ({"xs": np.ones((2, 1, 2, 8, 3), "f4")}, ValueError, "smaller than the kernel"),
        ({"padding": "full"}, ValueError, "padding is 'full'"),
        ({"strides": 0}, ValueError, "strides is 0; expected"),
        ({"strides": (2,)}, ValueError, r"strides is \(2,\); expected one number, or 2"),
        ({"dilation": 0}, ValueError, "dilation is 0; expected"),
        (
            {"mask": np.ones((1, 2), bool)},
            ValueError,
            r"shape \(1, 2\); expected \(2, 1\)",
        ),
        ({"mask": [[1], [0]]}, TypeError, "mask has dtype int32; expected booleans"),
        ({"layer": Layer(4, peepholes=True)}, ValueError, "layer has peepholes=True; expected"),
        ({"layer": Layer(4, bias=False)}, ValueError, "layer has bias=False; expected True"),
        ({"layer": Layer(3)}, ValueError, "layer has 3 units, but w_x has 4 filters"),
        ({"layer": "tanh"}, TypeError, "layer is 'tanh'; expected a Layer"),
        ({"carry": (1, 2)}, TypeError, "carry is tuple; expected jlstm.Carry"),
        ({"carry": Carry(*2 * [np.ones((1, 8, 8, 4))])}, ValueError, "carry.c has shape"),
        ({"params": 3}, TypeError, "params is int; expected ConvParams"),
        ({"params": WHOLE}, TypeError, "w_x has dtype int"),
        ({"params": WIDE}, ValueError, r"w_h has shape \(3, 3, 1, 16\); expected"),
        ({"params": LONG_BIAS}, ValueError, r"b has shape \(1,\); expected \(16,\)"),
    ],
)
def test_what_a_conv_lstm_cannot_take_is_refused(change, error, words):
    args, options = images(**change)
    with pytest.raises(error, match=words):
        jlstm.conv_lstm(*args, **options)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((3, 4, 3), "kernel is 3; expected one to three sizes"),
        ((3, 4, (1, 1, 1, 1)), "expected one to three sizes"),
        ((0, 4, (3,)), "input_size is 0"),
        ((3, 0, (3,)), "filters is 0"),
        ((3, 4, (3, 0)), "kernel is 0"),
    ],
)
def test_sizes_of_a_conv_lstm_are_positive(sizes, words):
    with pytest.raises(ValueError, match=words):
        jlstm.init_conv_lstm(jax.random.key(0), *sizes)
