"""Activations of Flax's cells: every name there and back, with the values of the cell."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer, activations
from jlstm.interop import from_linen, from_nnx, to_linen, to_nnx
from tests.examples import mostly_full
from tests.interop.frameworks import assert_close, assert_same

nnx = pytest.importorskip("flax.nnx")
linen = pytest.importorskip("flax.linen")

CONSTANTS = (
    "affine(2, -0.1)",
    "elu(0.3)",
    "hard_sigmoid(0.2, 0.5)",
    "leaky_relu(0.123456789012)",
    "scaled_tanh(1.5, 0.7)",
    "thresholded_relu(0.2)",
)
NAMES = mostly_full(
    [*activations.NAMES, *CONSTANTS], default=["softsign", "gelu", "leaky_relu(0.123456789012)"]
)
X = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
CARRY = jlstm.Carry(*np.random.default_rng(1).normal(size=(2, 2, 4)).astype("float32"))


def network(**options):
    """Small weights, at which even "exponential" stays small."""
    config = Config(3, (Layer(4, forget_bias=0.0, **options),))
    params = jlstm.init(jax.random.key(0), config)
    return config, jax.tree.map(lambda a: a / 4 + 0.01, params)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", mostly_full(["cell", "gates"], default=["cell"]))
def test_every_name_goes_to_nnx_and_back(name, place):
    options = {"recurrent_activation": name}
    if place == "cell":
        options = {"activation": name, "cell_activation": name}
    config, params = network(**options)
    (cell,) = to_nnx(config, params)
    found, weights = from_nnx(cell)
    assert found == config
    assert_same(weights, params)
    (c, h), _ = cell(tuple(map(jnp.asarray, CARRY)), X)
    assert_close((c, h), tuple(jlstm.step(config, params, (CARRY,), X)[0][0]))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_goes_to_linen_and_back(name):
    config, params = network(activation=name, cell_activation=name, recurrent_activation=name)
    (variables,) = to_linen(config, params)
    found, weights = from_linen(variables, activation=name, recurrent_activation=name)
    assert found == config
    assert_same(weights, params)
    own = activations.function(name)
    cell = linen.OptimizedLSTMCell(4, activation_fn=own, gate_fn=own)
    (c, h), _ = cell.apply(variables, tuple(map(jnp.asarray, CARRY)), X)
    assert_close((c, h), tuple(jlstm.step(config, params, (CARRY,), X)[0][0]))


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (jax.nn.soft_sign, "softsign"),
        (jax.nn.swish, "silu"),
        (jax.nn.hard_sigmoid, "hard_sigmoid"),
        (jax.nn.leaky_relu, "leaky_relu"),
        (jax.nn.elu, "elu"),
        (jax.nn.identity, "linear"),
        (jnp.exp, "exponential"),
        (jnp.tanh, "tanh"),
    ],
)
def test_functions_of_jax_have_our_names(function, name):
    cell = nnx.OptimizedLSTMCell(3, 4, activation_fn=function, rngs=nnx.Rngs(0))
    config, _ = from_nnx(cell)
    assert config.layers[0].activation == config.layers[0].cell_activation == name
    xs = jnp.linspace(-3, 3, 31)
    assert_close(activations.function(name)(xs), function(xs))


@pytest.mark.parametrize("function", [jax.nn.gelu, jnp.cos, functools.partial(jax.nn.elu, alpha=2)])
def test_functions_without_a_name_are_refused(function):
    """jax.nn.gelu is an approximation, and "gelu" is not."""
    cell = nnx.OptimizedLSTMCell(3, 4, activation_fn=function, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"is not known; expected .* softsign"):
        from_nnx(cell)
