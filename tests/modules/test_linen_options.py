"""The options of linen.LSTM: initializers, activations, dtypes, dropout and those of `Layer`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer
from tests.examples import mostly_full
from tests.modules.flax_cells import (
    BATCH,
    FEATURES,
    LENGTHS,
    STEPS,
    UNITS,
    XS,
    assert_close,
    cell,
    linen_variables,
)
from tests.modules.test_linen import network_of, of_flax, params

nn = pytest.importorskip("flax.linen")
modules = pytest.importorskip("jlstm.modules.linen")
LSTM, KEY = modules.LSTM, jax.random.key(0)

LAYERS = {
    "projection": Layer(5, projection_size=2),
    "peepholes": Layer(UNITS, peepholes=True, coupled_gates="input"),
    "norm": Layer(UNITS, layer_norm="products_and_cell"),
    "highway": (Layer(FEATURES, highway=True), Layer(UNITS, skip=True, residual=False)),
    "apart": Layer(UNITS, bidirectional=True, merge="none"),
    "stack": (Layer(UNITS, bidirectional=True), Layer(5, reverse=True, bias=False)),
}


@pytest.mark.parametrize("name", mostly_full(list(LAYERS), ["norm", "stack"]))
def test_every_option_of_a_layer_means_what_it_means_to_apply(name):
    lstm = LSTM(LAYERS[name], learn_initial_carry=True)
    variables, config, own = params(lstm)
    mask = np.random.default_rng(3).random((BATCH, STEPS)) < 0.8
    resets = np.random.default_rng(4).random((BATCH, STEPS)) < 0.2
    _, wanted = jlstm.apply(
        config, own, None, XS, lengths=LENGTHS, mask=mask, resets=resets, time_major=False
    )
    ys = lstm.apply(variables, XS, seq_lengths=LENGTHS, mask=mask, resets=resets)
    assert_close(ys, wanted)


def test_activations_by_flaxs_names():
    ours = {"gate_fn": jax.nn.hard_sigmoid, "activation_fn": jnp.cos}
    rnn = nn.RNN(cell(**ours))
    variables = linen_variables(rnn)
    (layer,) = network_of(LSTM(UNITS, **ours)).layers
    assert layer.recurrent_activation == "hard_sigmoid" and layer.cell_activation is jnp.cos
    new = {"params": modules.params_from(variables)}
    assert_close(LSTM(UNITS, **ours).apply(new, XS), rnn.apply(variables, XS))
    usual = network_of(LSTM(UNITS, gate_fn=nn.sigmoid, activation_fn=nn.tanh))
    assert usual == network_of(LSTM(UNITS))


@pytest.mark.full
def test_initial_weights_are_distributed_as_flaxs():
    units, theirs = 64, nn.RNN(nn.LSTMCell(64))
    xs = jnp.ones((2, 2, 32))
    wanted = modules.params_from(theirs.init(jax.random.key(0), xs))["layers"]["0"]
    found = LSTM(units).init(jax.random.key(1), xs)["params"]["layers"]["0"]
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, wanted)
    for name in ("w_x", "w_h"):
        np.testing.assert_allclose(found[name].std(), wanted[name].std(), rtol=0.05)
    assert not found["b"].any()
    kernel = found["w_h"][:, :units]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(units), atol=1e-5)


def test_initializers_by_flaxs_names():
    seen = []

    def counting(key, shape, dtype):
        seen.append(shape)
        return jnp.full(shape, len(seen), dtype)

    given = dict.fromkeys(("kernel_init", "recurrent_kernel_init", "bias_init"), counting)
    lstm = LSTM((Layer(4, bidirectional=True, forget_bias=3.0), 2), **given)
    layers = jax.jit(lstm.init)(jax.random.key(0), XS)["params"]["layers"]
    assert set(seen) == {(3, 16), (4, 16), (16,), (8, 8), (2, 8), (8,)}
    assert layers["0"]["w_x"].shape == (2, 3, 16)
    assert len(np.unique(layers["0"]["w_x"])) == 2  # one call for each direction
    b = layers["0"]["b"][0]
    assert (b[4:8] == b[0] + 3).all() and (b[8:] == b[0]).all()
    with pytest.raises(
        ValueError, match=r"layers\.0\.w_x returned shape \(3,\); expected \(3, 16\)"
    ):
        LSTM(4, kernel_init=lambda key, shape, dtype: jnp.ones(3)).init(jax.random.key(0), XS)


def test_a_start_by_an_initializer_as_flaxs_cells_have():
    _, theirs, ours = of_flax()
    ones = {"carry_init": nn.initializers.ones_init()}
    assert_close(LSTM(UNITS, **ones).apply(ours, XS), nn.RNN(cell(**ones)).apply(theirs, XS))
    drawn = LSTM(UNITS, carry_init=nn.initializers.normal())
    first, second = (drawn.apply(ours, XS, init_key=jax.random.key(n)) for n in range(2))
    assert not np.allclose(first, second)
    with pytest.raises(ValueError, match="reset goes back to zeros"):
        LSTM(UNITS, **ones).apply(ours, XS, resets=np.zeros((BATCH, STEPS), bool))


@pytest.mark.parametrize(
    ("dtype", "param_dtype", "inputs", "wanted"),
    [
        pytest.param(None, "float32", "float32", "float32", marks=pytest.mark.full),
        (None, "float32", "int32", "float32"),
        pytest.param(None, "bfloat16", "bfloat16", "bfloat16", marks=pytest.mark.full),
        (None, "float32", "bfloat16", "float32"),
        pytest.param(jnp.bfloat16, "float32", "float32", "bfloat16", marks=pytest.mark.full),
    ],
)
def test_dtypes_are_those_of_flax(dtype, param_dtype, inputs, wanted):
    options = {"dtype": dtype, "param_dtype": jnp.dtype(param_dtype)}
    # Flax's initializer draws no orthogonal matrices in bfloat16.
    theirs = nn.RNN(cell(recurrent_kernel_init=nn.initializers.lecun_normal(), **options))
    xs = jnp.asarray(10 * XS if inputs == "int32" else XS, inputs)
    variables = linen_variables(theirs, xs)
    lstm = LSTM(UNITS, return_carry=True, **options)
    made = jax.eval_shape(lstm.init, jax.random.key(0), xs)["params"]
    assert {a.dtype for a in jax.tree.leaves(made)} == {jnp.dtype(param_dtype)}
    carry, ys = lstm.apply({"params": modules.params_from(variables)}, xs)
    assert ys.dtype == wanted and carry.c.dtype == "float32"
    theirs_ys = theirs.apply(variables, xs)
    # With a dtype, Flax multiplies in it, but returns outputs in that of its carry.
    assert theirs_ys.dtype == (wanted if dtype is None else param_dtype)
    assert_close(ys.astype("float32"), theirs_ys.astype("float32"), 0.05)


def test_float64(x64):
    lstm = LSTM(UNITS, param_dtype=jnp.float64)
    variables = linen_variables(lstm, xs := XS.astype("float64"))
    assert lstm.apply(variables, xs).dtype == "float64"


def test_dropout_comes_from_its_stream():
    lstm = LSTM(Layer(UNITS, dropout=0.5, zoneout_c=0.1))
    variables = linen_variables(LSTM(UNITS))
    still = lstm.apply(variables, XS, deterministic=True)
    assert_close(still, LSTM(Layer(UNITS, zoneout_c=0.1)).apply(variables, XS, deterministic=True))
    run = functools.partial(lstm.apply, variables, XS, deterministic=False)
    first, second = (run(rngs={"dropout": jax.random.key(n)}) for n in (1, 2))
    assert not np.allclose(first, still) and not np.allclose(first, second)
    np.testing.assert_array_equal(first, run(rngs={"dropout": jax.random.key(1)}))
    with pytest.raises(Exception, match="dropout"):
        run()
    with pytest.raises(ValueError, match="deterministic"):
        lstm.apply(variables, XS)
    LSTM(Layer(UNITS, dropout=0.5), deterministic=True).apply(variables, XS)
    # Without dropout there is nothing to say, and no stream is needed.
    LSTM(UNITS).apply(variables, XS)


def test_it_runs_on_the_implementation_that_is_named():
    lstm = LSTM(UNITS, implementation="fast")
    with pytest.raises(ValueError, match="implementation"):
        lstm.init(jax.random.key(0), XS)
    _, _, ours = of_flax()
    wanted = LSTM(UNITS).apply(ours, XS)
    assert_close(LSTM(UNITS, implementation="scan", remat=2).apply(ours, XS), wanted)


@pytest.mark.parametrize(
    ("features", "options", "words"),
    [
        ("4", {}, "features is '4'; expected a size"),
        (True, {}, "features is True"),
        (4.0, {}, "features is 4.0"),
        ([4, None], {}, "expected a size such as 4, a Layer"),
        (Config.stack(3, [4]), {}, "expected a size"),
        (Layer(4), {"gate_fn": nn.relu}, "set the Layer's recurrent_activation"),
        (4, {"dtype": "float16"}, "dtype"),
        (0, {}, "hidden_size"),
    ],
)
def test_wrong_options(features, options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        jax.eval_shape(lambda key: LSTM(features, **options).init(key, XS), KEY)
