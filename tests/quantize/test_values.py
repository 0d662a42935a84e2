"""How matrices are rounded to int8, and back."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer
from tests.quantize.made import CONFIG, DTYPES, dequantised, is_int8
from tests.test_variants import NETWORKS


def matrices(params):
    """The int8 matrices by their paths."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params, is_leaf=is_int8)
    return {path: leaf for path, leaf in leaves if is_int8(leaf)}


def part(tree, key):
    return getattr(tree, key.name) if hasattr(key, "name") else tree[key.idx]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(3))
def test_no_weight_moves_by_more_than_half_a_scale(dtype, seed, x64):
    draw = np.random.default_rng(seed)
    units, inputs = draw.integers(1, 9, 2).tolist()
    layer = Layer(
        units, projection_size=int(draw.integers(1, 4)), bidirectional=bool(draw.integers(2))
    )
    config = Config(inputs, (layer, Layer(3)), dtype=dtype, param_dtype=dtype)
    exact = jlstm.init(jax.random.key(seed), config)
    exact = jax.tree.map(lambda a: a * 10.0 ** draw.integers(-30, 30), exact)
    found = jlstm.quantize(config, exact)
    assert len(matrices(found)) == 5
    for path, leaf in matrices(found).items():
        weight = np.asarray(functools.reduce(part, path, exact), "float64")
        scale = np.asarray(leaf.scale, "float64")[..., None, :]
        assert leaf.values.dtype == "int8" and leaf.scale.dtype == "float32"
        assert np.abs(np.asarray(leaf.values)).max(-2).min() == 127
        np.testing.assert_allclose(scale[..., 0, :], np.abs(weight).max(-2) / 127, rtol=1e-6)
        error = np.abs(np.asarray(dequantised(leaf)) - weight)
        assert (error <= 0.5 * scale * (1 + 1e-4)).all()


def test_everything_but_matrices_stays():
    config = Config(4, (*NETWORKS["norms"][:2], Layer(4, peepholes=True, highway=True)))
    params = jlstm.init(jax.random.key(0), config)
    small = jlstm.quantize(config, params)
    names = {jax.tree_util.keystr(p, simple=True, separator=".") for p in matrices(small)}
    inner = {f"layers.{n}.{name}" for n in range(3) for name in ("w_x", "w_h")}
    assert names == inner | {"layers.2.highway.w"}
    assert jax.tree.structure(jlstm.dequantize(config, small)) == jax.tree.structure(params)
    kept = jax.tree.map(lambda a: None if is_int8(a) else a, small, is_leaf=is_int8)
    for path, leaf in jax.tree_util.tree_leaves_with_path(kept):
        assert np.array_equal(leaf, functools.reduce(part, path, params))


@pytest.mark.parametrize("fill", [0.0, 1e-44, 1e-37, 3e38])
def test_columns_of_zeros_and_of_the_smallest_numbers_have_no_nan(fill):
    params = jlstm.init(jax.random.key(0), CONFIG)
    w_x = params.layers[0].w_x.at[:, 3].set(fill)
    params = params._replace(layers=(params.layers[0]._replace(w_x=w_x), params.layers[1]))
    small = jlstm.quantize(CONFIG, params).layers[0].w_x
    assert np.isfinite(small.scale).all() and (np.asarray(small.scale) > 0).all()
    if fill == 0.0:
        assert small.scale[3] == 1 and (small.values[:, 3] == 0).all()
    assert abs(dequantised(small)[:, 3] - fill).max() <= small.scale[3] / 2 + 1e-44


def test_dequantised_params_have_the_dtype_of_the_config_and_quantise_to_the_same_values():
    for dtype in ("float32", "bfloat16"):
        config = dataclasses.replace(CONFIG, dtype=dtype, param_dtype=dtype)
        params = jlstm.init(jax.random.key(0), config)
        small = jlstm.quantize(config, params)
        again = jlstm.dequantize(config, small)
        assert {a.dtype.name for a in jax.tree.leaves(again)} == {dtype}
        assert jlstm.dequantize(config, params).layers[0].w_x is params.layers[0].w_x
        if dtype == "float32":  # bfloat16 rounds the largest number of a column, too
            twice = jlstm.quantize(config, again)
            for a, b in zip(matrices(twice).values(), matrices(small).values(), strict=True):
                assert np.array_equal(a.values, b.values)
