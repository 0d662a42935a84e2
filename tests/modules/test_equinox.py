"""equinox.LSTM against eqx.nn.LSTMCell and `apply`, and under Equinox's transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jlstm
from jlstm import Config, Layer
from jlstm.interop import from_equinox

eqx = pytest.importorskip("equinox")
LSTM = pytest.importorskip("jlstm.modules.equinox").LSTM

XS = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
CONFIG = Config.stack(3, [4])


def lstm(config=CONFIG, **options):
    return LSTM(config, key=jax.random.key(0), **options)


def loss(model, xs=XS):
    return jnp.mean((model(xs)[1] - 1) ** 2)


def test_a_loop_over_equinoxs_cell_gives_the_same():
    cell = eqx.nn.LSTMCell(3, 4, key=jax.random.key(1))
    state = (jnp.zeros(4), jnp.zeros(4))
    hs = []
    for x in XS:
        state = cell(jnp.asarray(x), state)
        hs.append(state[0])
    (carry,), ys = LSTM(*from_equinox(cell))(XS)
    np.testing.assert_allclose(ys, jnp.stack(hs), atol=1e-6)
    np.testing.assert_allclose(carry.c, state[1], atol=1e-6)


def test_arguments_are_those_of_apply():
    model = lstm(Config(3, (Layer(4, dropout=0.5, bidirectional=True), Layer(2))))
    xs = np.stack([XS, XS[::-1]])
    given = {"lengths": jnp.array([6, 2]), "resets": np.eye(2, 6, dtype=bool)}
    given |= {"key": jax.random.key(3), "time_major": False}
    wanted = jlstm.apply(model.config, model.params, None, xs, **given)
    jax.tree.map(np.testing.assert_array_equal, model(xs, **given), wanted)
    np.testing.assert_allclose(
        lstm(remat=2, implementation="scan")(XS)[1], lstm()(XS)[1], atol=1e-6
    )
    with pytest.raises(ValueError, match="implementation"):
        lstm(implementation="fast")(XS)
    half, first = lstm()(XS[:3])
    _, second = lstm()(XS[3:], half)
    np.testing.assert_allclose(jnp.concatenate([first, second]), lstm()(XS)[1], atol=1e-6)


def test_transformations_of_equinox():
    model = lstm()
    assert len(jax.tree.leaves(model)) == 3 and all(map(eqx.is_array, jax.tree.leaves(model)))
    optimizer = optax.adam(0.1)
    state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(model, state):
        value, gradients = eqx.filter_value_and_grad(loss)(model)
        updates, state = optimizer.update(gradients, state, model)
        return eqx.apply_updates(model, updates), state, value

    first = loss(model)
    for _ in range(10):
        model, state, last = step(model, state)
    assert last < 0.5 * first
    batch = np.stack([XS, 2 * XS])
    ys = jax.vmap(lambda xs: model(xs)[1])(batch)
    np.testing.assert_allclose(ys, model(batch, time_major=False)[1], atol=1e-6)
    several = eqx.filter_vmap(lambda key: LSTM(CONFIG, key=key))(
        jax.random.split(jax.random.key(0))
    )
    ys = eqx.filter_vmap(lambda model: model(XS)[1])(several)
    assert ys.shape == (2, 6, 4) and not np.allclose(*ys)


def test_leaves_are_replaced_and_saved(tmp_path):
    model = lstm()
    zero = eqx.tree_at(lambda m: m.params.layers[0].w_x, model, replace_fn=jnp.zeros_like)
    assert not zero.params.layers[0].w_x.any() and model.params.layers[0].w_x.any()
    eqx.tree_serialise_leaves(tmp_path / "model.eqx", model)
    back = eqx.tree_deserialise_leaves(tmp_path / "model.eqx", zero)
    np.testing.assert_array_equal(back(XS)[1], model(XS)[1])


def test_wrong_arguments():
    with pytest.raises(ValueError, match="neither params nor key"):
        LSTM(CONFIG)
    with pytest.raises(ValueError, match="both params and key"):
        LSTM(CONFIG, lstm().params, key=jax.random.key(0))
    with pytest.raises((TypeError, ValueError), match="w_x"):
        LSTM(Config.stack(3, [5]), lstm().params)
