"""Parameters that a checkpoint gives back as dictionaries and lists."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization
from hypothesis import given

import jlstm
import jlstm.interop
from jlstm import Config, Layer
from jlstm.named import named, params_from_dict
from tests.networks import assert_close, variant_calls

CONFIG = Config(
    6,
    (
        Layer(3, bidirectional=True, highway=True, peepholes=True, layer_norm="gates_and_cell"),
        Layer(4, projection_size=3, layer_norm="products_and_output"),
        Layer(4, bias=False),
    ),
    learn_initial_carry=True,
)


@functools.cache
def params():
    return jax.tree.map(np.asarray, jlstm.init(jax.random.key(0), CONFIG))


def plain(tree):
    """The tree with a dictionary for each named tuple, and a list for each tuple."""
    if hasattr(tree, "_asdict"):
        return {name: plain(part) for name, part in tree._asdict().items()}
    return [plain(part) for part in tree] if isinstance(tree, tuple) else tree


def without_none(tree):
    if isinstance(tree, list):
        return {str(n): without_none(part) for n, part in enumerate(tree)}
    if isinstance(tree, dict):
        return {name: without_none(part) for name, part in tree.items() if part is not None}
    return tree


TREES = {
    "lists": plain,
    "string keys": lambda p: without_none(plain(p)),
    "whole keys": lambda p: {"layers": dict(enumerate(plain(p)["layers"]))},
    "joined names": named,
    "empty dictionaries": lambda p: {
        "layers": [
            {k: {} if v is None else v for k, v in own.items()} for own in plain(p)["layers"]
        ]
    },
    "params": lambda p: p,
    "pickle": lambda p: pickle.loads(pickle.dumps(plain(p))),
    "msgpack": lambda p: serialization.msgpack_restore(serialization.to_bytes(p)),
}


def same(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", TREES)
def test_every_form_of_a_tree_becomes_the_parameters(name):
    same(jlstm.params_from_dict(CONFIG, TREES[name](params())), params())


@given(variant_calls(given=()))
def test_every_variant_comes_back(call):
    tree = without_none(plain(call.params))
    same(params_from_dict(call.config, tree), call.params)


def test_arrays_are_not_copied():
    tree = plain(params())
    assert params_from_dict(CONFIG, tree).layers[0].w_x is tree["layers"][0]["w_x"]


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_what_orbax_restores_without_a_target(tmp_path):
    orbax = pytest.importorskip("orbax.checkpoint")
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "a", jax.tree.map(jnp.asarray, params()))
        checkpointer.wait_until_finished()
        tree = checkpointer.restore(tmp_path / "a")
    assert not isinstance(tree, jlstm.Params)
    same(params_from_dict(CONFIG, tree), params())


def test_members_of_an_ensemble_are_converted_within_vmap():
    config = Config.stack(6, [4, 5])
    keys = jax.random.split(jax.random.key(0), 3)
    members = jax.vmap(lambda key: jlstm.init(key, config))(keys)
    tree = plain(members)
    assert_close(jax.vmap(functools.partial(params_from_dict, config))(tree), members, atol=0)
    with pytest.raises(ValueError, match=r"w_x has shape \(3, 6, 16\).*within jax\.vmap"):
        params_from_dict(config, tree)


def changed(n, name, value):
    """The tree with another parameter in a layer; None for without it."""
    tree = plain(params())
    tree["layers"][n][name] = value
    return tree


ONES = np.ones((3, 16))
BAD = [
    (changed(0, "b", None), ValueError, r"missing: layers\.0\.b; not expected: none"),
    (
        {"layers": plain(params())["layers"][:2]},
        ValueError,
        r"missing: layers\.2\.initial_carry\.c",
    ),
    (changed(2, "b", ONES[0]), ValueError, r"missing: none; not expected: layers\.2\.b"),
    (changed(2, "W_x", ONES), ValueError, r"missing: none; not expected: layers\.2\.W_x"),
    (changed(2, "w_x", ONES[:2]), ValueError, r"2\.w_x has shape \(2, 16\), but .* \(3, 16\)"),
    (changed(2, "w_x", ONES.astype(int)), TypeError, r"layers\.2\.w_x has dtype int64"),
    (changed(2, "w_x", "w"), TypeError, r"layers\.2\.w_x is str 'w'; expected an array"),
    (changed(2, "w_x", [[1.0]]), TypeError, r"layers\.2\.w_x\.0\.0 is float 1\.0"),
    ({"a": {"b": plain(params())}}, ValueError, r"deeper in the tree: pass tree\['a'\]\['b'\]"),
    (plain(params()) | named(params()), ValueError, r"holds layers\.0\.w_x twice"),
    (plain(params())["layers"], TypeError, r"tree is list; expected a dictionary"),
]


@pytest.mark.parametrize(("tree", "error", "words"), BAD)
def test_a_tree_that_does_not_fit_is_refused_in_words(tree, error, words):
    with pytest.raises(error, match=words):
        params_from_dict(CONFIG, tree)


def with_norms(norms):
    first, *others = params().layers
    return jlstm.Params((first._replace(norms=norms), *others))


TREE = plain(params())
XS = np.ones((2, 6), "float32")
CALLS = {
    "apply": lambda tree: jlstm.apply(CONFIG, tree, None, XS),
    "step": lambda tree: jlstm.step(Config.stack(6, [4]), tree, None, XS),
    "trace": lambda tree: jlstm.trace(CONFIG, tree, None, XS),
    "initial_carry": lambda tree: jlstm.initial_carry(CONFIG, tree),
    "lstm": lambda tree: jlstm.lstm(tree["layers"][2], None, XS),
    "lstm_cell": lambda tree: jlstm.lstm_cell(tree["layers"][2], None, XS[0]),
    "layers": lambda tree: jlstm.apply(CONFIG, jlstm.Params(tree["layers"]), None, XS),
    "part": lambda tree: jlstm.apply(CONFIG, with_norms(tree["layers"][0]["norms"]), None, XS),
    "save": lambda tree: jlstm.save("nowhere", CONFIG, tree),
    "export": lambda tree: jlstm.export(CONFIG, tree),
    "decay_mask": lambda tree: jlstm.decay_mask(tree),
    "to_linen": lambda tree: jlstm.interop.to_linen(CONFIG, tree),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_name_the_conversion_to_those_who_pass_dictionaries(name):
    with pytest.raises(TypeError, match=r"jlstm\.params_from_dict\(config, tree\)"):
        CALLS[name](TREE)


def test_int8_matrices_come_back_from_dictionaries():
    small = jlstm.quantize(CONFIG, params())
    assert "layers.0.highway.w.values" in named(small)
    for tree in (named(small), plain(small), without_none(plain(small))):
        again = params_from_dict(CONFIG, tree)
        assert jax.tree.structure(again) == jax.tree.structure(small)
        for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(small), strict=True):
            assert a.dtype == b.dtype and np.array_equal(a, b)
    tree = dict(named(small))
    with pytest.raises(TypeError, match=r"layers.1.w_h.values has dtype float32; expected int8"):
        params_from_dict(CONFIG, tree | {"layers.1.w_h.values": np.ones((3, 16), "float32")})
    del tree["layers.1.w_h.scale"]
    with pytest.raises(ValueError, match=r"layers\.1\.w_h\.scale"):
        params_from_dict(CONFIG, tree)
