"""nnx.LSTM against nnx.RNN and nnx.Bidirectional over Flax's cells, and against `apply`."""

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
    FEATURES,
    LENGTHS,
    STEPS,
    UNITS,
    VALID,
    XS,
    arguments,
    assert_close,
    without_padding,
)

nnx = pytest.importorskip("flax.nnx")
modules = pytest.importorskip("jlstm.modules.nnx")


def randomised(module, seed=2):
    """The module, with every parameter drawn anew."""
    draw = np.random.default_rng(seed)
    for _, variable in nnx.to_flat_state(nnx.state(module, nnx.Param)):
        variable[...] = jnp.asarray(draw.normal(size=variable.shape) / 2, variable.dtype)
    nnx.update(module, nnx.state(module, nnx.Param))
    return module


def lstm(features=UNITS, inputs=FEATURES, **options):
    return modules.LSTM(inputs, features, rngs=nnx.Rngs(0), **options)


def cell(seed=0, kind=nnx.OptimizedLSTMCell, inputs=FEATURES, **options):
    return kind(inputs, UNITS, rngs=nnx.Rngs(seed), **options)


def with_weights(module, source):
    modules.set_params(module, source)
    return module


@functools.cache
def of_flax():
    rnn = nnx.RNN(cell())
    return rnn, with_weights(lstm(), rnn)


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
    rnn, ours = of_flax()
    xs, given = arguments(call)
    wanted = rnn(xs, return_carry=True, **given)
    carry, ys = ours(xs, return_carry=True, **given)
    assert_close(carry, wanted[0])
    assert_close(ys, without_padding(call, wanted[1]))
    np.testing.assert_array_equal(ours(xs, **given), ys)


def test_what_the_constructor_says_holds_where_the_call_says_nothing():
    rnn, ours = of_flax()
    call = {"time_major": True, "reverse": True, "keep_order": True}
    same = with_weights(lstm(return_carry=True, **call), rnn)
    assert_close(same(XS.swapaxes(0, 1)), ours(XS.swapaxes(0, 1), return_carry=True, **call))
    assert_close(same(XS, return_carry=False, **dict.fromkeys(call, False)), ours(XS))


@pytest.mark.full
def test_gradients_are_those_of_an_rnn():
    rnn, ours = of_flax()

    def loss(module, xs):
        return jnp.sum(jnp.sin(module(xs)) ** 2)

    wanted = nnx.grad(loss)(rnn, XS)["cell"]
    found = nnx.grad(loss)(ours, XS)["layers"]["0"]
    assert_close(found["w_x"][...], wanted["dense_i"]["kernel"][...], 1e-5)
    assert_close(found["w_h"][...], wanted["dense_h"]["kernel"][...], 1e-5)
    assert_close(found["b"][...], wanted["dense_h"]["bias"][...], 1e-5)


@pytest.mark.full
def test_two_directions_give_what_bidirectional_gives():
    both = nnx.Bidirectional(nnx.RNN(cell(0)), nnx.RNN(cell(1)), return_carry=True)
    ours = with_weights(lstm(Layer(UNITS, bidirectional=True), return_carry=True), both)
    for given in ({}, {"initial_carry": (CARRY, CARRY), "seq_lengths": jnp.asarray(LENGTHS)}):
        wanted = both(XS, **given)
        carry, ys = ours(XS, **given)
        assert_close(carry, wanted[0])
        assert_close(ys, wanted[1] * VALID[..., None] if given else wanted[1])
    parts = nnx.Bidirectional(lstm(), lstm(), return_carry=True)
    for way in ("forward", "backward"):
        modules.set_params(getattr(parts, f"{way}_rnn"), getattr(both, f"{way}_rnn"))
    assert_close(parts(XS, seq_lengths=LENGTHS), ours(XS, seq_lengths=LENGTHS))


def test_a_stack_gives_what_rnns_in_a_row_give():
    rnns = [nnx.RNN(cell(0)), nnx.RNN(cell(1, nnx.LSTMCell, UNITS))]
    ours = with_weights(lstm((UNITS, UNITS), return_carry=True), rnns)
    carry, ys = ours(XS)
    assert_close(ys, rnns[1](rnns[0](XS)))
    assert_close(carry[1], rnns[1](rnns[0](XS), return_carry=True)[0])


@pytest.mark.full
def test_every_option_of_a_layer_means_what_it_means_to_apply():
    features = (
        Layer(UNITS, bidirectional=True, peepholes=True),
        Layer(5, projection_size=2, layer_norm="products_and_cell", skip=True),
    )
    ours = randomised(lstm(features, learn_initial_carry=True, remat=None))
    config, params = modules.network(ours)
    mask = np.random.default_rng(3).random((BATCH, STEPS)) < 0.8
    resets = np.random.default_rng(4).random((BATCH, STEPS)) < 0.2
    _, wanted = jlstm.apply(
        config, params, None, XS, lengths=LENGTHS, mask=mask, resets=resets, time_major=False
    )
    assert_close(ours(XS, seq_lengths=LENGTHS, mask=mask, resets=resets), wanted)


def test_parameters_are_variables_by_the_names_of_a_file():
    ours = lstm((UNITS, Layer(5, layer_norm="products_and_output")))
    assert ours.layers[1].w_x.shape == (UNITS, 20) and ours.layers[1].norms.x.scale.shape == (20,)
    _, params = modules.network(ours)
    wanted = {tuple(name.split(".")) for name in jlstm.named.named(params)}
    assert {path for path, _ in nnx.to_flat_state(nnx.state(ours))} == wanted
    assert all(type(v) is nnx.Param for _, v in nnx.to_flat_state(nnx.state(ours)))


@pytest.mark.parametrize(
    ("dtype", "param_dtype", "inputs", "wanted"),
    [
        (None, "float32", "int32", "float32"),
        pytest.param(None, "bfloat16", "bfloat16", "bfloat16", marks=pytest.mark.full),
        (jnp.bfloat16, "float32", "float32", "bfloat16"),
    ],
)
def test_dtypes_are_those_of_flax(dtype, param_dtype, inputs, wanted):
    options = {"dtype": dtype, "param_dtype": jnp.dtype(param_dtype)}
    theirs = nnx.RNN(cell(kind=nnx.LSTMCell, **options))
    ours = with_weights(lstm(return_carry=True, **options), theirs)
    assert ours.layers[0].w_x.dtype == param_dtype
    xs = jnp.asarray(10 * XS if inputs == "int32" else XS, inputs)
    carry, ys = ours(xs)
    assert ys.dtype == wanted and carry.c.dtype == "float32"
    assert_close(ys.astype("float32"), theirs(xs).astype("float32"), 0.05)


def test_dropout_comes_from_its_stream():
    ours = modules.LSTM(3, Layer(UNITS, dropout=0.5), rngs=nnx.Rngs(0, dropout=1))
    first, second = ours(XS), ours(XS)
    assert not np.allclose(first, second)  # each call draws anew
    again = modules.LSTM(3, Layer(UNITS, dropout=0.5), rngs=nnx.Rngs(0, dropout=1))
    assert_close(again(XS), first)
    assert_close(again(XS, rngs=nnx.Rngs(5)), again(XS, rngs=nnx.Rngs(5)))
    assert_close(again(XS, rngs=jax.random.key(3)), again(XS, rngs=jax.random.key(3)))
    still = ours(XS, deterministic=True)
    ours.eval()
    assert_close(ours(XS), still)
    ours.train()
    assert not np.allclose(ours(XS), still)
    # Bidirectional passes on a stream for carries, the same in every model: it is not used here.
    anew = modules.LSTM(3, Layer(UNITS, dropout=0.5), rngs=nnx.Rngs(0, dropout=1))
    assert_close(nnx.Bidirectional(anew, lstm())(XS)[..., :UNITS], first)
    assert lstm().rngs is None  # nothing to draw, no state


def test_a_start_by_an_initializer_as_flaxs_cells_have():
    rnn, _ = of_flax()
    ours = with_weights(lstm(carry_init=nnx.initializers.ones_init()), rnn)
    ones = 2 * (jnp.ones((BATCH, UNITS)),)
    assert_close(ours(XS), rnn(XS, initial_carry=ones))
    learned = {"carry_init": nnx.initializers.ones_init(), "learn_initial_carry": True}
    with pytest.raises(ValueError, match="both set the start"):
        lstm(**learned)(XS)


def test_activations_by_flaxs_names():
    options = {"gate_fn": jax.nn.hard_sigmoid, "activation_fn": jnp.cos}
    rnn = nnx.RNN(cell(**options))
    assert_close(with_weights(lstm(**options), rnn)(XS), rnn(XS))


@pytest.mark.parametrize(
    ("features", "options", "words"),
    [
        ("4", {}, "features is '4'; expected a size"),
        (Layer(4), {"gate_fn": jnp.tanh}, "set the Layer's recurrent_activation"),
        (4, {"dtype": "float16"}, "dtype"),
        (Layer(4, residual=True), {}, "residual=True, but 3 inputs"),
    ],
)
def test_wrong_options(features, options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        lstm(features, **options)


def test_wrong_arguments():
    with pytest.raises(TypeError, match=r"initial_carry is an array .*expected \(c, h\)"):
        lstm()(XS, initial_carry=CARRY[0])
    with pytest.raises(ValueError, match="bidirectional"):
        lstm(Layer(4, bidirectional=True))(XS, reverse=True)
    with pytest.raises(ValueError, match="3 features"):
        lstm()(XS[..., :2])


def test_a_reversed_module_is_a_reversed_network():
    reversed_module = lstm(reverse=True, keep_order=True)
    config, own = modules.network(reversed_module)
    assert config.layers[0].reverse
    assert_close(reversed_module(XS), jlstm.apply(config, own, None, XS, time_major=False)[1])


def test_carry_init_draws_from_a_stream_at_every_call():
    drawing = lstm(carry_init=nnx.initializers.normal(1.0))
    first, second = drawing(XS), drawing(XS)
    assert float(jnp.abs(first - second).max()) > 0.01
    assert_close(drawing(XS, rngs=nnx.Rngs(7)), drawing(XS, rngs=nnx.Rngs(7)))
    assert (
        float(jnp.abs(drawing(XS, rngs=nnx.Rngs(7)) - drawing(XS, rngs=nnx.Rngs(8))).max()) > 0.01
    )
    assert_close(drawing(XS, initial_carry=2 * (jnp.zeros((BATCH, UNITS)),)), lstm()(XS))
