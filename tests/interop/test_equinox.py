"""Equinox."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

import jlstm
from jlstm import Config, Layer
from jlstm.interop import from_equinox, to_equinox
from tests.interop.frameworks import (
    assert_agrees,
    assert_goes_there_and_back,
    halved,
    networks,
    random_networks,
)

equinox = pytest.importorskip("equinox")

XS = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")


def in_equinox(cells, xs):
    """Over batches of sequences, from zeros; the cell's state is (h, c)."""
    carries = []
    for cell in cells:
        carry = (jnp.zeros((xs.shape[1], cell.hidden_size)),) * 2
        ys = []
        for x in xs:
            carry = jax.vmap(cell)(x, carry)
            ys.append(carry[0])
        carries.append(carry[::-1])
        xs = jnp.stack(ys)
    return carries, xs


def read(cells):
    return from_equinox(cells)[1]


@given(networks(bias=(True, False)))
@random_networks
def test_there_and_back(call):
    assert_goes_there_and_back(call, to_equinox, from_equinox)


@pytest.mark.full
@given(networks(bias=(True, False)))
@random_networks
def test_equinox_gives_what_a_network_gives(call):
    call = halved(call)
    cells = to_equinox(call.config, call.params)
    assert_agrees(call.config, call.params, in_equinox, cells, read, call.xs)


@pytest.mark.parametrize("bias", [True, False])
def test_equinoxs_own_weights(bias):
    cell = equinox.nn.LSTMCell(3, 4, use_bias=bias, key=jax.random.key(0))
    assert_agrees(*from_equinox(cell), in_equinox, [cell], read, XS)


@pytest.mark.parametrize(
    "given", [equinox.nn.GRUCell(3, 4, key=jax.random.key(0)), 3, None, equinox.nn.LSTMCell]
)
def test_what_is_no_such_cell(given):
    with pytest.raises(TypeError, match=r"expected equinox\.nn\.LSTMCell"):
        from_equinox(given)


def test_classes_that_compute_something_else_are_refused():
    class Named(equinox.nn.LSTMCell):
        pass

    class Odd(equinox.nn.LSTMCell):
        def __call__(self, x, state, *, key=None):
            return state

    assert from_equinox(Named(3, 4, key=jax.random.key(0)))[0].input_size == 3
    with pytest.raises(TypeError, match="Odd overrides __call__"):
        from_equinox(Odd(3, 4, key=jax.random.key(0)))


def test_no_cells():
    with pytest.raises(ValueError, match="list of cells is empty"):
        from_equinox([])


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (Layer(4, gate_clip=1.0), "gate_clip"),
        (Layer(4, coupled_gates="input"), "coupled_gates"),
    ],
)
def test_what_it_lacks_is_refused_by_name(layer, named):
    config = Config(6, (layer,))
    with pytest.raises(ValueError, match=named):
        to_equinox(config, jlstm.init(jax.random.key(0), config))
