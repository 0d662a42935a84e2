"""Random networks that a framework can hold, and how results are compared."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer
from tests.examples import examples
from tests.networks import assert_close, loss, random_call

random_networks = settings(max_examples=examples(10, more=True), deadline=None)

KERAS_ACTIVATIONS = ("tanh", "relu", "sigmoid", "softsign", "hard_sigmoid", "linear")


@st.composite
def networks(
    draw,
    *,
    alike=False,
    both=False,
    reverse=False,
    merges=("concat",),
    most=3,
    joins=False,
    **options,
):
    """A config and distinct weights for it: layers `alike` or each with sizes of its own.

    `options` are the choices for each option of Layer; those of `activations` go to both of the
    options that many frameworks set to one value. With `joins`, layers may be residual and read
    the network's input beside that of the layer below.
    """
    activations = options.pop("activations", None)
    inputs = size = draw(st.integers(1, 5))
    layers = []
    for n in range(draw(st.integers(1, most))):
        if alike and n:
            layers.append(layers[0])
            continue
        chosen = {name: draw(st.sampled_from(values)) for name, values in options.items()}
        if activations:
            chosen["activation"] = chosen["cell_activation"] = draw(st.sampled_from(activations))
        ways = ["forward", *["both"] * both, *["reverse"] * reverse]
        way = draw(st.sampled_from(ways))
        chosen |= {"bidirectional": way == "both", "reverse": way == "reverse"}
        chosen["merge"] = draw(st.sampled_from(merges)) if way == "both" else "concat"
        units = draw(st.integers(2, 5))
        if joins:
            chosen["skip"] = n > 0 and draw(st.booleans())
            size += inputs * chosen["skip"]
            sides = 2 if way == "both" and chosen["merge"] == "concat" else 1
            chosen["residual"] = size % sides == 0 and draw(st.booleans())
            units = size // sides if chosen["residual"] else units
            size = units * sides
        if chosen.get("projection_size"):
            chosen["projection_size"] = draw(st.integers(1, units - 1))
        layers.append(Layer(units, forget_bias=0.0, **chosen))
    config = Config(inputs, tuple(layers))
    return random_call(config, 5, (3,), draw(st.integers(0, 2**31)))


def halved(call):
    """The call with weights at which gates do not saturate."""
    return call._replace(params=jax.tree.map(lambda a: a / 2, call.params))


def assert_same(params, wanted):
    """Bit for bit."""
    assert jax.tree.structure(params) == jax.tree.structure(wanted)
    for found, expected in zip(jax.tree.leaves(params), jax.tree.leaves(wanted), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def assert_fits(config, wanted):
    """The same network; what acts at the start and in training alone does not count."""
    plain = [dataclasses.replace(layer.without_key, forget_bias=0.0) for layer in wanted.layers]
    found = [dataclasses.replace(layer.without_key, forget_bias=0.0) for layer in config.layers]
    assert (config.input_size, found) == (wanted.input_size, plain)


def assert_goes_there_and_back(call, there, back):
    """Bit for bit."""
    config, params = back(there(call.config, call.params))
    assert_fits(config, call.config)
    assert_same(params, jax.tree.map(jnp.asarray, call.params))


def run(config, params, xs, **given):
    """Last carry and outputs of `apply` over time-major input, on the scan."""
    return jlstm.apply(config, params, None, xs, implementation="scan", **given)


def weighted(ys):
    """A number that every element of the outputs bears on, each in its own way."""
    return (ys * weights_for(ys.shape)).sum()


def weights_for(shape):
    return np.cos(np.arange(np.prod(shape), dtype="float32")).reshape(shape)


def input_slope(config, params, xs):
    """The gradient of `weighted` of the outputs for the input."""
    return jax.grad(lambda xs: weighted(run(config, params, xs)[1]))(xs)


def pairs(carry):
    """The carry as plain pairs (c, h), as other frameworks' are brought into."""
    return [tuple(own) for own in carry]


def assert_agrees(config, params, theirs, own, back, xs):
    """Last states, outputs, and gradients for weights and input, of a network and of theirs.

    `theirs(own, xs)` gives a list of pairs (c, h) and the outputs; `back(own)` brings weights, or
    gradients, into our arrangement.
    """

    def ours(params, xs):
        carry, ys = run(config, params, xs)
        return pairs(carry), ys

    @functools.partial(jax.jit, static_argnums=0)
    def seen(function, weights, xs):
        def both(weights, xs):
            out = function(weights, xs)
            return loss(out), out

        slopes, out = jax.grad(both, (0, 1), has_aux=True)(weights, xs)
        return out, slopes

    out, slopes = seen(theirs, own, xs)
    expected, wanted = seen(ours, params, xs)
    assert_close(out, expected)
    # What is added on the way, such as a forget bias, is no part of a gradient.
    added = back(jax.tree.map(jnp.zeros_like, own))
    slopes = jax.tree.map(jnp.subtract, back(slopes[0]), added), slopes[1]
    # Where states grow, small slopes are differences of large ones, as uncertain as those are.
    largest = max(np.abs(a).max() for a in jax.tree.leaves(wanted))
    assert_close(slopes, wanted, atol=1e-5 * max(1.0, largest), rtol=1e-5)


__all__ = ["assert_agrees", "assert_close", "halved", "networks", "random_networks"]
