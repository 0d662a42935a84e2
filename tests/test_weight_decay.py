"""Masks of weight decay, and what the guide to optimisers says of optax's own rules."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import MuonDimensionNumbers, muon

import jlstm
from jlstm import Config, Layer
from tests.examples import mostly_full

EVERYTHING = Config(
    6,
    (
        Layer(3, bidirectional=True, highway=True, peepholes=True, layer_norm="gates_and_cell"),
        Layer(4, projection_size=3, peepholes=True, layer_norm="products_and_output"),
        Layer(4, bias=False),
    ),
    learn_initial_carry=True,
)
NO = {"b", "peepholes", "initial_carry", "norms"}


@functools.cache
def draw(config, members=None):
    if members is None:
        return jlstm.init(jax.random.key(0), config)
    keys = jax.random.split(jax.random.key(0), members)
    return jax.vmap(lambda key: jlstm.init(key, config))(keys)


def decayed(tree):
    """The paths of a mask, such as "layers.0.w_x", that are True, and those that are False."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    names = {True: set(), False: set()}
    for path, leaf in leaves:
        assert isinstance(leaf, bool)
        names[leaf].add(jax.tree_util.keystr(path, simple=True, separator="."))
    return names[True], names[False]


@pytest.mark.parametrize("members", [None, 5])
def test_matrices_are_decayed_and_nothing_else(members):
    params = draw(EVERYTHING, members)
    mask = jlstm.decay_mask(params)
    assert jax.tree.structure(mask) == jax.tree.structure(params)
    yes, no = decayed(mask)
    assert yes == {
        *(f"layers.{n}.{name}" for n in range(3) for name in ("w_x", "w_h")),
        "layers.0.highway.w",
        "layers.1.projection",
    }
    assert {name.split(".")[2] for name in no} == {*NO, "highway"}


def test_layers_and_convolutions_have_masks():
    layer = draw(EVERYTHING).layers[0]
    assert jlstm.decay_mask(layer) == jlstm.decay_mask(draw(EVERYTHING)).layers[0]
    convolution = jlstm.init_conv_lstm(jax.random.key(0), 3, 2, (5,))
    assert jlstm.decay_mask(convolution) == jlstm.ConvParams(True, True, False)


@pytest.mark.parametrize("members", mostly_full([None, 2], default=[None]))
def test_adamw_decays_by_the_mask(members):
    params = draw(EVERYTHING, members)
    params = jax.tree.map(jnp.ones_like, params)
    optimizer = optax.adamw(0.5, weight_decay=0.5, mask=jlstm.decay_mask)
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = jax.jit(lambda p: optimizer.update(zeros, optimizer.init(p), p))(params)
    for update, yes in zip(
        jax.tree.leaves(updates), jax.tree.leaves(jlstm.decay_mask(params)), strict=True
    ):
        np.testing.assert_array_equal(update, -0.25 if yes else 0)


def test_other_trees_are_refused_with_what_to_write():
    for tree in ({"lstm": draw(EVERYTHING)}, draw(EVERYTHING).layers):
        with pytest.raises(TypeError, match=r"expected Params.* put the mask together"):
            jlstm.decay_mask(tree)


def axes(params):
    return jax.tree.map(
        lambda yes: MuonDimensionNumbers(-2, -1) if yes else None, jlstm.decay_mask(params)
    )


def updated(optimizer, params):
    """Updates for random gradients."""
    draw = np.random.default_rng(0)
    gradients = jax.tree.map(lambda a: jnp.asarray(draw.normal(size=a.shape), a.dtype), params)
    return jax.jit(lambda p: optimizer.update(gradients, optimizer.init(p), p)[0])(params)


def by_adam(a):
    """Adam's first updates have one size."""
    return bool(np.ptp(np.abs(a)) < 1e-4)


def by_muon(a):
    """Muon leaves singular values between about 0.7 and 1.2 times a common scale."""
    values = np.linalg.svd(np.asarray(a), compute_uv=False)
    return not by_adam(a) and bool((values.max(-1) / values.min(-1) < 1.8).all())


def test_muon_takes_axes_by_their_number_unless_they_are_named():
    params = draw(Config.stack(40, [8], bidirectional=True))
    usual, named = (
        updated(muon(1.0, **options), params).layers[0]
        for options in ({}, {"muon_weight_dimension_numbers": axes})
    )
    assert by_muon(usual.b) and by_adam(named.b)
    assert by_adam(usual.w_x) and by_muon(named.w_x)
    assert by_adam(usual.w_h) and by_muon(named.w_h)


@pytest.mark.full
@pytest.mark.parametrize("members", [None, 2])
def test_muon_takes_every_variant_if_axes_are_named(members):
    params = draw(EVERYTHING, members)
    updates = updated(muon(1.0, muon_weight_dimension_numbers=axes), params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert by_muon(updates.layers[1].projection)
    assert by_adam(updates.layers[1].peepholes)


def test_adafactor_averages_over_the_axes_of_matrices():
    params = draw(Config.stack(130, [33], bidirectional=True, peepholes=True))
    state = optax.adafactor(1.0).init(params)[0]
    rows, columns, whole = (getattr(state, name).layers[0] for name in ("v_row", "v_col", "v"))
    assert {rows.w_x.shape, columns.w_x.shape} == {(2, 130), (2, 132)}
    for name in ("b", "peepholes"):
        assert getattr(whole, name).shape == getattr(params.layers[0], name).shape
    assert whole.w_h.shape == (2, 33, 132)
