"""Random networks over all options at once, beside the reference: contracts 1 to 8 and 11."""

import dataclasses
import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer, cell, randomness
from jlstm.layer import COUPLINGS, DROPPED, MERGES, NORMS
from tests.examples import examples, mostly_full
from tests.networks import (
    EXAMPLES,
    apply,
    assert_close,
    expected,
    loss,
    make_call,
    random_like,
    run,
    variant_calls,
)

ALL = ("lengths", "mask", "resets")
# Networks that together have every option of Layer, and every value of those that choose by name.
NETWORKS = {
    "directions": (
        Layer(3, bidirectional=True, merge="mul"),
        Layer(4, reverse=True, bias=False),
        Layer(3, bidirectional=True, merge="sum"),
        Layer(2, bidirectional=True, merge="average"),
        Layer(2, bidirectional=True, merge="none"),
    ),
    "projections and clips": (
        Layer(4, peepholes=True, projection_size=3, projection_clip=0.5, cell_clip=0.8),
        Layer(3, gate_clip=1.5, coupled_gates="input", skip=True),
    ),
    "norms": (
        Layer(4, layer_norm="gates_and_cell"),
        Layer(4, layer_norm="products_and_cell", coupled_gates="forget", residual=True),
        Layer(3, layer_norm="products_and_output", layer_norm_epsilon=0.1),
    ),
    "activations": (
        Layer(3, activation="softsign", recurrent_activation="hard_sigmoid", highway=True),
        Layer(4, cell_activation="linear", zoneout_c=0.3, zoneout_h=0.4),
    ),
    "random": (
        Layer(3, recurrent_dropout=0.4, recurrent_dropout_on="candidate"),
        Layer(4, recurrent_dropout=0.4, held_masks=True, weight_dropout=0.5, dropout=0.5),
    ),
}
MANY = settings(max_examples=EXAMPLES)


def gradients(call, **changes):
    call = call._replace(**changes)

    def total(args):
        params, carry, xs = args
        return loss(apply(call, params=params, carry=carry, xs=xs))

    return jax.grad(total)((call.params, call.carry, call.xs))


def network(name):
    config = Config(3, NETWORKS[name], learn_initial_carry=True)
    return make_call(config, 5, (2,), 0, ALL)


def test_the_networks_have_every_option():
    layers = [layer for several in NETWORKS.values() for layer in several]
    for field in dataclasses.fields(Layer):
        seen = {getattr(layer, field.name) for layer in layers}
        assert len(seen) > 1 or field.name == "forget_bias", f"add {field.name} to NETWORKS"
    for name, values in (("merge", MERGES), ("coupled_gates", COUPLINGS), ("layer_norm", NORMS)):
        assert {getattr(layer, name) for layer in layers} >= set(values)
    assert {layer.recurrent_dropout_on for layer in layers} == set(DROPPED)


@pytest.mark.parametrize(
    "name", mostly_full(list(NETWORKS), default=[n for n in NETWORKS if n != "norms"])
)
def test_every_option_is_that_of_the_reference(name):
    """Contracts 4 to 6 and 8: values, and the slope of the loss along one direction."""
    call, step = network(name), 1e-6
    assert_close(apply(call), expected(call), atol=3e-4)

    def total(args):
        params, carry, xs = args
        return loss(apply(call, params=params, carry=carry, xs=xs))

    args = call.params, call.carry, call.xs
    direction = random_like(7, args)

    def reference(at):
        params, carry, xs = jax.tree.map(
            lambda a, d: a.astype("float64") + at * d.astype("float64"), args, direction
        )
        return float(
            sum(
                (np.asarray(a) * waves(a, "float64")).sum()
                for a in jax.tree.leaves(expected(call._replace(params=params, carry=carry, xs=xs)))
            )
        )

    wanted = (reference(step) - reference(-step)) / (2 * step)
    products = jax.tree.map(lambda g, d: np.vdot(g, d), jax.jit(jax.grad(total))(args), direction)
    np.testing.assert_allclose(sum(jax.tree.leaves(products)), wanted, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    "name",
    mostly_full(
        [n for n in NETWORKS if n != "directions"], default=["projections and clips", "random"]
    ),
)
def test_every_option_takes_steps(name):
    """Contract 1, and 11 where something is drawn; the layers that can, one way in time."""
    layers = [
        dataclasses.replace(
            layer, bidirectional=False, merge="concat", weight_dropout=0.0, held_masks=False
        )
        for layer in NETWORKS[name]
    ]
    call = make_call(Config(3, tuple(layers)), 4, (2,), 0, ("resets",))
    key, resets = jax.random.key(3), call.times["resets"]

    @jax.jit
    def stepped(params):
        carry, ys = call.carry, []
        for x, reset, k in zip(call.xs, resets, jax.random.split(key, len(call.xs)), strict=True):
            carry, y = jlstm.step(call.config, params, carry, x, reset=reset, key=k)
            ys.append(y)
        return carry, jnp.stack(ys)

    assert_close(stepped(call.params), apply(call, times={**call.times, "key": key}), atol=1e-4)


@MANY
@given(variant_calls())
def test_every_combination_is_that_of_the_reference(call):
    """Contracts 4 to 6: values, in float64 from the papers' equations."""
    assert_close(apply(call), expected(call), atol=3e-4)


@pytest.mark.full
@MANY
@given(variant_calls(streams=True, given=("resets",)))
def test_steps_and_a_whole_sequence_agree(call):
    """Contract 1."""
    resets = call.times.get("resets", np.zeros(call.xs.shape[:2], bool))

    def step(params, carry, step):
        return jlstm.step(call.config, params, carry, step[0], reset=step[1])

    def scanned(params):
        return jax.lax.scan(functools.partial(step, params), call.carry, (call.xs, resets))

    def whole(params):
        return apply(call, params=params)

    assert_close(scanned(call.params), whole(call.params), atol=1e-4)
    slopes = [jax.grad(lambda p, run=run: loss(run(p)))(call.params) for run in (scanned, whole)]
    assert_close(*slopes, atol=2e-3)


@pytest.mark.full
@MANY
@given(variant_calls(streams=True, noisy=True, given=("resets",)), st.integers(0, 9))
def test_steps_draw_what_a_whole_sequence_draws(call, seed):
    """Contract 11."""
    key, time = jax.random.key(seed), len(call.xs)
    resets = call.times.get("resets", np.zeros(call.xs.shape[:2], bool))
    carry, ys = call.carry, []
    for x, reset, k in zip(call.xs, resets, jax.random.split(key, time), strict=True):
        carry, y = jlstm.step(call.config, call.params, carry, x, reset=reset, key=k)
        ys.append(y)
    times = {**call.times, "key": key}
    assert_close((carry, jnp.stack(ys)), apply(call, times=times), atol=1e-4)


@MANY
@given(variant_calls(streams=True, given=("mask", "resets")), st.integers(0, 5))
def test_time_may_be_split_anywhere(call, at):
    """Contract 2, without learned carries: a reset at the seam takes the same one."""
    at = min(at, len(call.xs))

    def part(carry, span):
        times = {name: a[span] for name, a in call.times.items()}
        return apply(call, carry=carry, xs=call.xs[span], times=times)

    carry, first = part(call.carry, slice(0, at))
    carry, second = part(carry, slice(at, None))
    assert_close((carry, jnp.concatenate([first, second])), apply(call), atol=1e-4)


@pytest.mark.full
@MANY
@given(variant_calls(noisy=True), st.integers(0, 9))
def test_the_same_key_gives_the_same_and_no_key_drops_nothing(call, seed):
    """Contract 11."""
    times = {**call.times, "key": jax.random.key(seed)}
    assert_close(apply(call, times=times), apply(call, times=times), atol=0)
    quiet = dataclasses.replace(
        call.config, layers=tuple(layer.without_key for layer in call.config.layers)
    )
    assert_close(apply(call), apply(call._replace(config=quiet)), atol=0)


@pytest.mark.full
@MANY
@given(variant_calls(noisy=True), st.integers(0, 9))
def test_what_is_drawn_goes_where_the_papers_say(call, seed):
    """The masks themselves are taken from the library; dropout of weights is applied."""
    assert_drawn(call, seed)


def test_every_random_option_goes_where_the_papers_say():
    """Contract 11."""
    assert_drawn(network("random"), 0)


def assert_drawn(call, seed):
    key, config = jax.random.key(seed), call.config
    layers = tuple(
        dataclasses.replace(layer, dropout=0.0, held_masks=False)
        if layer.recurrent_dropout == 0
        else dataclasses.replace(layer, dropout=0.0)
        for layer in config.layers
    )
    call = call._replace(config=dataclasses.replace(config, layers=layers))
    keys = randomness.keys(key, len(call.xs))
    masks, dropped = [], []
    for n, (layer, params) in enumerate(zip(layers, call.params.layers, strict=True)):
        varying, held = randomness.masks(keys, n, layer, (2,), jnp.dtype("float32"))
        held = jax.tree.map(lambda a: jnp.repeat(a[:, None], len(call.xs), axis=1), held)
        drawn = {**varying._asdict(), **{k: a for k, a in held._asdict().items() if a is not None}}
        sides = 2 if layer.bidirectional else 1
        masks.append(
            [{k: np.asarray(a[d]) for k, a in drawn.items() if a is not None} for d in range(sides)]
        )
        dropped.append(randomness.drop_weights(keys, n, layer, params))
    seen = apply(call, times={**call.times, "key": key})
    assert_close(seen, expected(call._replace(params=jlstm.Params(tuple(dropped))), masks), 3e-4)


@pytest.mark.full
@MANY
@given(variant_calls(given=("lengths", "mask")))
def test_padding_never_leaks(call):
    """Contract 7."""
    valid = np.ones(call.xs.shape[:2], bool)
    if "lengths" in call.times:
        valid &= np.arange(len(call.xs))[:, None] < call.times["lengths"]
    valid &= call.times.get("mask", True)
    xs = np.where(valid[..., None], call.xs, np.float32(np.nan))
    assert_close(apply(call, xs=xs), apply(call), atol=0)
    assert_close(gradients(call, xs=xs), gradients(call), atol=0)


@MANY
@given(variant_calls())
def test_vmap_over_sequences_is_a_batch(call):
    """Contract 3."""

    def one(carry, xs, times):
        return jlstm.apply(call.config, call.params, carry, xs, **times)

    at = [int(layer.bidirectional) for layer in call.config.layers]
    carry_axes = tuple(jlstm.Carry(a, a) for a in at)
    time_axes = {name: 0 if name == "lengths" else 1 for name in call.times}
    mapped = jax.vmap(one, (carry_axes, 1, time_axes), (carry_axes, 1))
    assert_close(mapped(call.carry, call.xs, call.times), apply(call), atol=1e-4)


def waves(a, dtype="float32"):
    return np.cos(np.arange(a.size, dtype=dtype)).reshape(a.shape)


@pytest.mark.full
@settings(max_examples=examples(10))
@given(variant_calls())
def test_derivatives_of_both_modes_agree(call):
    """Contract 8: a gradient along a direction is the derivative in it, once and twice."""

    def total(params):
        return loss(apply(call, params=params)) / 10

    direction = jax.tree.map(waves, call.params)
    slope = jax.grad(total)(call.params)
    pairs = zip(jax.tree.leaves(slope), jax.tree.leaves(direction), strict=True)
    along = sum(jnp.vdot(a, b) for a, b in pairs)
    _, forward = jax.jvp(total, (call.params,), (direction,))
    np.testing.assert_allclose(along, forward, rtol=1e-2, atol=1e-2)
    remade = jax.grad(jax.checkpoint(total))(call.params)
    assert_close(remade, slope, atol=2e-3)


@pytest.mark.parametrize(
    "options",
    mostly_full(
        [
            {"layer_norm": "products_and_cell"},
            {"layer_norm": "gates_and_cell", "projection_size": 3},
            {"layer_norm": "products_and_output", "recurrent_dropout": 0.3},
            {"projection_size": 3, "peepholes": True},
        ],
        default=[{"projection_size": 3, "peepholes": True}],
    ),
    ids=str,
)
def test_gradients_are_those_of_plain_differentiation(options):
    """The scan's own rule for w_h and projections beside autodiff of steps."""
    call = make_call(Config(3, (Layer(4, **options),)), 6, (2,), 0, ("resets",))

    def stepped(params):
        def step(carry, step):
            return jlstm.step(call.config, params, carry, step[0], reset=step[1])

        return jax.lax.scan(step, call.carry, (call.xs, call.times["resets"]))

    wanted = jax.grad(lambda p: loss(stepped(p)))(call.params)
    assert_close(jax.grad(lambda p: loss(apply(call, params=p)))(call.params), wanted, atol=1e-4)


@pytest.mark.long
def test_two_thousand_examples_of_the_contracts():
    """All of the above again, on 300 examples each, and variants in turns of several steps."""
    unrolled = Path(__file__).parent / "kernels" / "test_unrolled.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", __file__, unrolled, "-m", "not long"],
        env={**os.environ, "JLSTM_EXAMPLES": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]


def instructions(call, monkeypatch, plain):
    """Of the compiled gradient; `plain` strips the step of every variant's code."""
    with monkeypatch.context() as patch:
        if plain:
            patch.setattr(cell, "read", lambda carry, masks: carry.h)
            patch.setattr(cell, "pre_activations", lambda layer, params, z_x, z_h: z_x + z_h)
            patch.setattr(cell, "projected", lambda layer, params, units, *_: units)
            patch.setattr(cell, "zoned_out", lambda layer, before, after, masks: after)
            patch.setattr(cell, "added", lambda a, b: a)
            patch.setattr(cell, "advance", plain_step)
        jax.clear_caches()

        def total(params, xs):
            return loss(run(call, "scan", params=params, xs=xs))

        compiled = jax.jit(jax.grad(total, (0, 1))).lower(call.params, call.xs).compile()
    return sum(" = " in line for line in compiled.as_text().splitlines())


def plain_step(layer, params, z, carry, masks):
    i, f, g, o = jnp.split(z, 4, axis=-1)
    gates = cell.Gates(jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o))
    return gates, *cell.update(gates, carry.c)


@pytest.mark.parametrize("times", [pytest.param((), marks=pytest.mark.full), ALL])
def test_a_plain_network_pays_nothing_for_the_variants(times, monkeypatch):
    """Its compiled program has as many instructions with their code in its path as without."""
    call = make_call(Config(3, (Layer(4, bidirectional=True), Layer(5))), 6, (2,), 0, times)
    counts = [instructions(call, monkeypatch, plain) for plain in (False, True)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("form", NORMS)
def test_normalisation_bears_on_the_output(form):
    call = make_call(Config(3, (Layer(4, layer_norm=form),)), 4, (2,), 0)
    for name in ("x", "h", "z", "c"):
        affine = getattr(call.params.layers[0].norms, name)
        if affine is None:
            continue
        norms = call.params.layers[0].norms._replace(
            **{name: affine._replace(scale=affine.scale * 2)}
        )
        layer = call.params.layers[0]._replace(norms=norms)
        assert not np.allclose(apply(call, params=jlstm.Params((layer,)))[1], apply(call)[1])


@pytest.mark.parametrize("gate", COUPLINGS)
def test_a_coupled_gate_does_not_read_its_columns(gate):
    call = make_call(Config(3, (Layer(4, coupled_gates=gate),)), 4, (2,), 0)
    slopes = jax.grad(lambda p: loss(apply(call, params=p)))(call.params).layers[0]
    at = {"input": slice(0, 4), "forget": slice(4, 8)}[gate]
    for slope in (slopes.w_x, slopes.w_h, slopes.b):
        assert not np.any(slope[..., at])
        assert np.all(np.any(np.delete(slope, np.r_[at], axis=-1), axis=-1))
