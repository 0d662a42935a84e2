"""What parameters hold and where they start."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

import jlstm
from jlstm import Config, Layer
from jlstm.params import shaped
from tests.examples import mostly_full
from tests.networks import configs, variant_calls

INPUTS, UNITS = 200, 100


def drawn(initializer, **options):
    config = Config(INPUTS, (Layer(UNITS, **options),), initializer=initializer)
    return jlstm.init(jax.random.key(0), config).layers[0]


def by_gate(a):
    return np.split(np.asarray(a), 4, axis=-1)


def looks_uniform(a, bound):
    a = np.asarray(a) / bound
    assert np.abs(a).max() <= 1
    np.testing.assert_allclose([a.mean(), a.std()], [0, 1 / np.sqrt(3)], atol=0.05)


def is_orthogonal(a):
    np.testing.assert_allclose(a @ a.T, np.eye(len(a)), atol=1e-4)


@given(configs())
def test_shapes_follow_the_config(config):
    params = jlstm.init(jax.random.key(0), config)
    for layer, one, inputs in zip(config.layers, params.layers, config.input_sizes, strict=True):
        lead, units = (2,) if layer.bidirectional else (), layer.hidden_size
        assert one.w_x.shape == (*lead, inputs, 4 * units)
        assert one.w_h.shape == (*lead, units, 4 * units)
        assert (one.b is not None) == layer.bias
        assert (one.initial_carry is not None) == config.learn_initial_carry
        if layer.bidirectional:
            assert np.any(one.w_x[0] != one.w_x[1])
    assert all(a.dtype == "float32" for a in jax.tree.leaves(params))


def test_keras_starts_from_glorot_uniform_and_an_orthogonal_matrix():
    params = drawn("keras")
    looks_uniform(params.w_x, np.sqrt(6 / (INPUTS + 4 * UNITS)))
    is_orthogonal(np.asarray(params.w_h))


def test_torch_starts_from_uniform_weights_and_two_biases():
    params = drawn("torch", forget_bias=0.0)
    looks_uniform(params.w_x, 0.1)
    looks_uniform(params.w_h, 0.1)
    b = np.asarray(params.b)
    assert np.abs(b).max() <= 0.2
    assert abs(b.std() - 0.1 * np.sqrt(2 / 3)) < 0.01


def test_flax_starts_from_lecun_normal_and_orthogonal_gates():
    params = drawn("flax", forget_bias=0.0)
    for gate in by_gate(params.w_h):
        is_orthogonal(gate)
    assert abs(np.std(params.w_x) * np.sqrt(INPUTS) - 1) < 0.02
    assert not np.any(params.b)


def test_haiku_starts_from_one_truncated_normal_matrix():
    params = drawn("haiku")
    deviation = 1 / np.sqrt(INPUTS + UNITS)
    for w in (params.w_x, params.w_h):
        assert np.abs(w).max() <= 2 * deviation
        # A normal cut off at two deviations has 0.88 of its deviation left.
        assert abs(np.std(w) / deviation - 0.88) < 0.01


@pytest.mark.parametrize("initializer", ["keras", "torch", "flax", "haiku"])
@pytest.mark.parametrize("forget_bias", mostly_full([0.0, 1.0, 2.5], default=[2.5]))
def test_forget_bias_is_added_to_the_forget_gate_alone(initializer, forget_bias):
    i, f, g, o = (
        a - b
        for a, b in zip(
            by_gate(drawn(initializer, forget_bias=forget_bias).b),
            by_gate(drawn(initializer, forget_bias=0.0).b),
            strict=True,
        )
    )
    np.testing.assert_allclose(f, forget_bias, atol=1e-6)
    assert not np.any([i, g, o])


def test_a_function_may_draw_the_weights():
    asked = []

    def twos(key, shape, dtype):
        asked.append(shape)
        return jnp.full(shape, 2, dtype)

    params = drawn(twos)
    assert asked == [(INPUTS, 4 * UNITS), (UNITS, 4 * UNITS)]
    assert np.all(params.w_x == 2) and np.all(params.w_h == 2)
    assert abs(np.std(drawn(jax.nn.initializers.he_normal()).w_x) - 0.1) < 0.01


def test_a_function_that_draws_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"returned shape \(3,\) for w_x; expected \(200, 400\)"):
        drawn(lambda key, shape, dtype: jnp.zeros(3))


def test_one_key_gives_one_network_and_another_key_another():
    config = Config.stack(6, [4, 5])
    a, b, c = (jlstm.init(jax.random.key(seed), config) for seed in (0, 0, 1))
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))
    assert np.any(a.layers[0].w_x != c.layers[0].w_x)
    assert np.any(a.layers[0].w_h[:4] != a.layers[1].w_x[:4, :16])


def test_params_are_stored_in_their_own_dtype():
    config = dataclasses.replace(Config.stack(6, [4]), param_dtype="bfloat16")
    params = jlstm.init(jax.random.key(0), config)
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}


def test_a_learned_carry_needs_the_parameters():
    config = Config(3, (Layer(4),), learn_initial_carry=True)
    with pytest.raises(ValueError, match="pass params"):
        jlstm.initial_carry(config)
    params = jlstm.init(jax.random.key(0), config)
    start = jlstm.Carry(jnp.arange(4.0), -jnp.arange(4.0))
    params = params._replace(layers=(params.layers[0]._replace(initial_carry=start),))
    (carry,) = jlstm.initial_carry(config, params, (2, 3))
    np.testing.assert_array_equal(carry.c, np.broadcast_to(np.arange(4.0), (2, 3, 4)))
    np.testing.assert_array_equal(carry.h, np.broadcast_to(-np.arange(4.0), (2, 3, 4)))


def test_names_stand_in_the_paths_of_the_tree():
    params = jlstm.init(jax.random.key(0), Config.stack(6, [4], bias=False))
    paths = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(params)]
    assert paths == [".layers[0].w_x", ".layers[0].w_h"]


@given(variant_calls(noisy=False))
def test_shapes_are_known_without_making_parameters(call):
    made = jlstm.init(jax.random.key(0), call.config)
    assert shaped(call.config) == jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), made
    )
