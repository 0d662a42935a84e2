"""The stack against a float64 reference: contracts 1, 2, 4, 5 and 6."""

import functools

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer
from tests import reference

CONFIGS = [
    Config.stack(6, [4, 5]),
    Config(3, (Layer(4, bidirectional=True), Layer(5, reverse=True, bias=False))),
    Config(3, (Layer(3, residual=True), Layer(3, bidirectional=True, merge="mul", residual=True))),
    Config(2, (Layer(4, bidirectional=True, merge="average"),), learn_initial_carry=True),
    Config(2, (Layer(7), Layer(1, bidirectional=True, merge="sum")), learn_initial_carry=True),
]


def random_like(seed, tree):
    leaves, structure = jax.tree.flatten(tree)
    draw = np.random.default_rng(seed)
    return jax.tree.unflatten(
        structure, [draw.normal(size=a.shape).astype("float32") for a in leaves]
    )


def expected(config, params, carry, xs, **times):
    layers = [
        {name: getattr(layer, name) for name in ("bidirectional", "reverse", "merge", "residual")}
        for layer in config.layers
    ]
    weights, states = [], []
    for layer, one, state in zip(config.layers, params.layers, carry, strict=True):
        zeros = np.zeros(layer.hidden_size)
        sides, both = [], []
        for d in (0, 1) if layer.bidirectional else (None,):
            pick = (lambda a: a) if d is None else (lambda a, d=d: a[d])
            start = one.initial_carry
            c0, h0 = (zeros, zeros) if start is None else (pick(start.c), pick(start.h))
            b = None if one.b is None else pick(one.b)
            sides.append((pick(one.w_x), pick(one.w_h), b, c0, h0))
            both.append((pick(state.c), pick(state.h)))
        weights.append(sides)
        states.append(both)
    return reference.network(layers, weights, states, xs, **times)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("given", ["nothing", "lengths", "mask", "resets", "all"])
def test_apply_agrees_with_the_reference(config, given):
    """Contracts 4 to 6."""
    time, batch = 5, 3
    params = random_like(0, jlstm.init(jax.random.key(0), config))
    carry = random_like(1, jlstm.initial_carry(config, params, (batch,)))
    draw = np.random.default_rng(2)
    xs = draw.normal(size=(time, batch, config.input_size)).astype("float32")
    options = {
        "lengths": np.array([5, 0, 3]),
        "mask": draw.random((time, batch)) < 0.6,
        "resets": draw.random((time, batch)) < 0.4,
    }
    times = {name: v for name, v in options.items() if given in (name, "all")}
    last, ys = jlstm.apply(config, params, carry, xs, **times)
    last_expected, ys_expected = expected(config, params, carry, xs, **times)
    np.testing.assert_allclose(ys, ys_expected, atol=2e-6)
    for one, sides in zip(last, last_expected, strict=True):
        for d, (c, h) in enumerate(sides):
            np.testing.assert_allclose(one.c[d] if len(sides) == 2 else one.c, c, atol=2e-6)
            np.testing.assert_allclose(one.h[d] if len(sides) == 2 else one.h, h, atol=2e-6)


def test_steps_agree_with_the_whole():
    """Contract 1: values and gradients."""
    config = CONFIGS[0]
    params = jlstm.init(jax.random.key(0), config)
    xs = jax.random.normal(jax.random.key(1), (7, 2, 6))
    carry = jlstm.initial_carry(config, batch_shape=(2,))

    def stepped(params, xs):
        return jax.lax.scan(functools.partial(jlstm.step, config, params), carry, xs)

    def whole(params, xs):
        return jlstm.apply(config, params, carry, xs)

    def loss(run, *args):
        return sum((a**2).sum() for a in jax.tree.leaves(run(*args)))

    for run in (stepped, whole):
        assert run(params, xs)[1].shape == (7, 2, 5)
    for a, b in zip(
        jax.tree.leaves((stepped(params, xs), jax.grad(loss, (1, 2))(stepped, params, xs))),
        jax.tree.leaves((whole(params, xs), jax.grad(loss, (1, 2))(whole, params, xs))),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)
