"""The cells in Flax's own loops, and the loading of weights in every form that Flax has."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jlstm
from jlstm import Layer
from jlstm.modules import linen as ours_linen
from jlstm.modules import nnx as ours_nnx
from tests.examples import mostly_full
from tests.modules.flax_cells import (
    BATCH,
    CARRY,
    FEATURES,
    LENGTHS,
    STEPS,
    UNITS,
    XS,
    assert_close,
    cell,
    linen_variables,
)


def nnx_cell(features=UNITS, **options):
    return ours_nnx.LSTMCell(FEATURES, features, rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize(
    "features", [UNITS, Layer(5, projection_size=2, layer_norm="products_and_cell")]
)
def test_flaxs_rnn_runs_the_cell_as_the_layer_runs(features):
    rnn = nn.RNN(ours_linen.LSTMCell(features), return_carry=True)
    variables = linen_variables(rnn)
    layer = ours_linen.LSTM(features, return_carry=True)
    wanted = layer.apply({"params": variables["params"]["cell"]}, XS)
    assert_close(rnn.apply(variables, XS), wanted)
    of_nnx = nnx_cell(features)
    ours_nnx.set_params(of_nnx, variables["params"]["cell"])
    assert_close(nnx.RNN(of_nnx, return_carry=True)(XS), wanted)


def test_flaxs_rnn_takes_carries_of_either_form_with_the_cell():
    rnn = nn.RNN(ours_linen.LSTMCell(UNITS), return_carry=True)
    variables = linen_variables(rnn)
    given = {"seq_lengths": jnp.asarray(LENGTHS)}
    wanted = ours_linen.LSTM(UNITS, return_carry=True).apply(
        {"params": variables["params"]["cell"]}, XS, initial_carry=CARRY, **given
    )
    for start in (CARRY, jlstm.Carry(*CARRY)):
        carry, _ = rnn.apply(variables, XS, initial_carry=start, **given)
        assert_close(carry, wanted[0])
    of_nnx = nnx_cell()
    ours_nnx.set_params(of_nnx, variables["params"]["cell"])
    for start in (CARRY, jlstm.Carry(*CARRY)):
        carry, _ = nnx.RNN(of_nnx, return_carry=True)(XS, initial_carry=start, **given)
        assert_close(carry, wanted[0])


def test_a_step_in_bfloat16_keeps_the_form_of_the_carry():
    options = {"dtype": jnp.bfloat16, "param_dtype": jnp.bfloat16}
    rnn = nn.RNN(ours_linen.LSTMCell(UNITS, **options))
    assert rnn.apply(linen_variables(rnn), XS).dtype == jnp.bfloat16
    assert nnx.RNN(nnx_cell(**options))(XS).dtype == jnp.bfloat16


def test_a_reset_starts_a_cell_anew():
    new = ours_linen.LSTMCell(UNITS)
    variables = jax.tree.map(lambda a: a + 0.1, new.init(jax.random.key(0), CARRY, XS[:, 0]))
    reset = np.arange(BATCH) % 2 == 0
    _, y = new.apply(variables, CARRY, XS[:, 0], reset=reset)
    start = new.initialize_carry(jax.random.key(0), (BATCH, FEATURES))
    for given, rows in ((start, reset), (CARRY, ~reset)):
        np.testing.assert_allclose(y[rows], new.apply(variables, given, XS[:, 0])[1][rows])
    of_nnx = nnx_cell()
    ours_nnx.set_params(of_nnx, variables["params"])
    assert_close(of_nnx(CARRY, XS[:, 0], reset=reset)[1], y)


def test_dropout_in_a_loop_draws_anew_at_each_step():
    dropping = Layer(UNITS, dropout=0.5)
    same = np.repeat(XS[:, :1], STEPS, 1)
    rnn = nn.RNN(
        ours_linen.LSTMCell(dropping, deterministic=False),
        split_rngs={"params": False, "dropout": True},
    )
    variables = linen_variables(nn.RNN(ours_linen.LSTMCell(UNITS)))
    ys = rnn.apply(variables, same, rngs={"dropout": jax.random.key(0)})
    assert np.isfinite(ys).all()
    again = rnn.apply(variables, same, rngs={"dropout": jax.random.key(0)})
    other = rnn.apply(variables, same, rngs={"dropout": jax.random.key(1)})
    assert_close(ys, again)
    assert not np.allclose(ys, other)
    of_nnx = nnx.RNN(nnx_cell(dropping))
    assert not np.allclose(of_nnx(same), of_nnx(same))
    of_nnx.eval()
    assert_close(of_nnx(same), of_nnx(same))


def test_a_cell_is_one_layer_that_runs_forward():
    with pytest.raises(TypeError, match="use LSTM for a stack"):
        ours_linen.LSTMCell((4, 4)).initialize_carry(jax.random.key(0), (BATCH, 3))
    with pytest.raises(TypeError, match="use LSTM for a stack"):
        nnx_cell((4, 4))
    backward = ours_linen.LSTMCell(Layer(UNITS, reverse=True))
    with pytest.raises(ValueError, match="layer 0 is reverse"):
        backward.init(jax.random.key(0), CARRY, XS[:, 0])


FORMS = {
    "linen cell": lambda own: own["params"]["cell"],
    "linen variables": lambda own: own,
    "linen params": lambda own: {"params": own["params"]["cell"]},
    "frozen": flax.core.freeze,
}


@pytest.mark.parametrize("form", mostly_full(list(FORMS), ["linen variables"]))
@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.OptimizedLSTMCell])
def test_weights_of_linens_cells(kind, form):
    rnn = nn.RNN(kind(UNITS))
    variables = linen_variables(rnn)
    source = FORMS[form](variables)
    wanted = rnn.apply(variables, XS)
    params = ours_linen.params_from(source)
    assert_close(ours_linen.LSTM(UNITS).apply({"params": params}, XS), wanted)
    new = ours_nnx.LSTM(FEATURES, UNITS, rngs=nnx.Rngs(0))
    ours_nnx.set_params(new, source)
    assert_close(new(XS), wanted)


def test_weights_that_linen_has_marked():
    marked = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
    rnn = nn.RNN(cell(kernel_init=marked))
    variables = rnn.init(jax.random.key(0), XS)
    new = {"params": ours_linen.params_from(variables)}
    assert_close(ours_linen.LSTM(UNITS).apply(new, XS), rnn.apply(variables, XS))


@pytest.mark.parametrize("kind", [nnx.LSTMCell, nnx.OptimizedLSTMCell])
def test_weights_of_nnxs_cells(kind):
    own = kind(FEATURES, UNITS, rngs=nnx.Rngs(0), bias_init=nnx.initializers.normal())
    wanted = nnx.RNN(own)(XS)
    states = [nnx.state(own), nnx.state(nnx.RNN(own)), nnx.to_pure_dict(nnx.state(own))]
    for source in (own, nnx.RNN(own), *states, [own]):
        new = ours_nnx.LSTM(FEATURES, UNITS, rngs=nnx.Rngs(1))
        ours_nnx.set_params(new, source)
        assert_close(new(XS), wanted)
        params = ours_linen.params_from(source)
        assert_close(ours_linen.LSTM(UNITS).apply({"params": params}, XS), wanted)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("apart", [True, False])
def test_weights_of_a_cell_of_both_directions(apart):
    both = Layer(UNITS, bidirectional=True)
    own = cell()
    rnn = nn.RNN(own)
    theirs = nn.Bidirectional(rnn, nn.RNN(own) if apart else rnn)
    variables = linen_variables(theirs)
    with pytest.raises(ValueError, match="to start both from the same"):
        ours_linen.params_from(variables)
    part = variables["params"]["forward_rnn"]
    params = ours_linen.params_from({"forward_rnn": part, "backward_rnn": part})
    wanted = theirs.apply(variables, XS)
    assert_close(ours_linen.LSTM(both).apply({"params": params}, XS), wanted)

    of_nnx = nnx.OptimizedLSTMCell(FEATURES, UNITS, rngs=nnx.Rngs(0))
    rnn = nnx.RNN(of_nnx)
    theirs = nnx.Bidirectional(rnn, nnx.RNN(of_nnx) if apart else rnn)
    new = ours_nnx.LSTM(FEATURES, both, rngs=nnx.Rngs(1))
    ours_nnx.set_params(new, theirs)
    assert_close(new(XS), theirs(XS))
    # A state holds a shared cell once.
    with pytest.raises(ValueError, match="a cell in backward_rnn alone"):
        ours_nnx.set_params(new, nnx.state(theirs))


def test_weights_pass_between_the_modules_and_the_library():
    new = ours_nnx.LSTM(FEATURES, (UNITS, Layer(2, peepholes=True)), rngs=nnx.Rngs(1))
    stack = ours_linen.LSTM((UNITS, Layer(2, peepholes=True)))
    variables = linen_variables(stack)
    ours_nnx.set_params(new, variables["params"])
    assert_close(new(XS), stack.apply(variables, XS))
    config, params = ours_nnx.network(new)
    assert_close(stack.apply({"params": ours_linen.params_from(params)}, XS), new(XS))
    params = jlstm.init(jax.random.key(5), config)
    ours_nnx.set_params(new, params)
    assert_close(stack.apply({"params": ours_linen.params_from(params)}, XS), new(XS))


def test_weights_pass_from_module_to_module():
    old = ours_nnx.LSTM(FEATURES, (UNITS, Layer(2, dropout=0.5)), rngs=nnx.Rngs(1))
    old.eval()
    wanted = old(XS)
    stack = ours_linen.LSTM((UNITS, Layer(2, dropout=0.5)), deterministic=True)
    for source in (old, nnx.state(old)):
        assert_close(stack.apply({"params": ours_linen.params_from(source)}, XS), wanted)
        new = ours_nnx.LSTM(FEATURES, (UNITS, 2), rngs=nnx.Rngs(2))
        ours_nnx.set_params(new, source)
        assert_close(new(XS), wanted)
    variables = linen_variables(stack)
    for source in (variables, flax.core.freeze(variables), variables["params"]):
        ours_nnx.set_params(new, source)
        assert_close(new(XS), stack.apply(variables, XS))
    with pytest.raises(ValueError, match="w_x has shape"):
        ours_nnx.set_params(ours_nnx.LSTM(FEATURES, (UNITS, 3), rngs=nnx.Rngs(2)), old)
    with pytest.raises(ValueError, match=r"cell's variables \['layers'\]"):
        ours_nnx.set_params(new, nnx.Sequential(nnx.RNN(nnx_cell())))


def test_a_cell_is_a_network_of_the_library():
    new = ours_linen.LSTMCell(UNITS)
    variables = linen_variables(nn.RNN(new))["params"]["cell"]
    config, params = ours_linen.network(new, {"params": variables})
    _, ys = jlstm.apply(config, params, None, XS, time_major=False)
    assert_close(nn.RNN(new).apply({"params": {"cell": variables}}, XS), ys)


def test_weights_that_do_not_fit_are_refused():
    new = ours_nnx.LSTM(FEATURES, UNITS, rngs=nnx.Rngs(1))
    with pytest.raises(ValueError, match=r"w_x has shape \(3, 20\)"):
        ours_nnx.set_params(new, nnx.LSTMCell(FEATURES, 5, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"expected those of nnx\.OptimizedLSTMCell"):
        ours_nnx.set_params(new, nnx.GRUCell(FEATURES, UNITS, rngs=nnx.Rngs(0)))
    for wrong in (3, None, "cell"):
        with pytest.raises(TypeError, match="expected"):
            ours_linen.params_from(wrong)
    with pytest.raises(ValueError, match=r"layers\.0\.b"):
        bare = {"layers": {"0": {"w_x": np.ones((3, 16), "f"), "w_h": np.ones((4, 16), "f")}}}
        ours_linen.LSTM(UNITS).apply({"params": bare}, XS)
