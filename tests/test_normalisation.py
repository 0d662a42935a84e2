"""Layer normalisation of vectors of equal numbers, such as those of silence: derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Carry, Config, Layer
from jlstm.layer import NORMS
from jlstm.normalisation import standardised
from tests.examples import mostly_full
from tests.networks import apply, assert_close, expected, loss, make_call, random_like

# Slow tests of every form: one of them runs by default.
FORMS = pytest.mark.parametrize("form", mostly_full(list(NORMS), default=["products_and_cell"]))


def plain(a, epsilon):
    centred = a - jnp.mean(a, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + epsilon)


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5])
@pytest.mark.parametrize("flat", [True, False])
def test_no_value_changes(flat, epsilon):
    """To the bit, at equal numbers and elsewhere, with NaN and infinity too."""
    rows = np.random.default_rng(0).normal(size=(9, 7)).astype("float32")
    rows[0], rows[1], rows[2, :6] = 0.0, 0.1, 0.2
    rows[3, 1], rows[4, 2], rows[5], rows[6:8] = np.nan, np.inf, np.inf, rows[6:8] * 1e-12
    new, old = (
        np.asarray(jax.jit(f)(rows))
        for f in (lambda a: standardised(a, epsilon, flat=flat), lambda a: plain(a, epsilon))
    )
    np.testing.assert_array_equal(new, old)
    assert np.isfinite(new[[0, 1, 2, 6, 7, 8]]).all()


@pytest.mark.parametrize("flat", [True, False])
def test_the_derivative_elsewhere_is_that_of_the_formula(flat):
    rows = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    rows[1] *= 1e-4
    rows[2] = [0.3, 0.3, 0.3, 0.3, 0.30001]
    d = np.random.default_rng(1).normal(size=rows.shape).astype("float32")

    def along(f):
        return jax.jvp(f, (rows,), (d,))

    seen = along(lambda a: standardised(a, 1e-5, flat=flat))
    assert_close(seen, along(lambda a: plain(a, 1e-5)), atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e4])
def test_the_derivative_at_equal_numbers_is_zero_or_that_of_the_deviations(value):
    """0.1 has a rounded mean, so that the variance of these vectors is not 0."""
    a = jnp.full((2, 11), value)
    d = random_like(3, a)
    deviations = d - d.mean(-1, keepdims=True)
    for flat, wanted in ((True, np.zeros_like(d)), (False, deviations)):

        def of(a, flat=flat):
            return standardised(a, 1e-12, flat=flat)

        assert_close(jax.jvp(of, (a,), (d,))[1], wanted, atol=1e-6)
        assert_close(jax.vjp(of, a)[1](jnp.asarray(d))[0], wanted, atol=1e-6)
        second = np.asarray(jax.jacfwd(jax.jacrev(of))(a[0]))
        assert np.isfinite(second).all() and not second.any()


def silence(form, time=200, **options):
    """A call whose sequences begin with zeros, with the parameters of `init`."""
    config = Config.stack(3, [4], layer_norm=form, **options)
    call = make_call(config, time + 4, (2,), 0)
    xs = call.xs.copy()
    xs[:time] = 0
    params = jlstm.init(jax.random.key(0), config)
    return call._replace(params=params, carry=None, xs=xs)


def total(call, implementation="auto"):
    def of(params, xs):
        _, ys = jlstm.apply(call.config, params, call.carry, xs, implementation=implementation)
        return (ys * ys).sum()

    return of


@FORMS
@pytest.mark.parametrize("bias", mostly_full([True, False], default=[True]))
@pytest.mark.parametrize("implementation", mostly_full(["auto", "scan"], default=["auto"]))
def test_zeros_in_front_leave_gradients_bounded(form, bias, implementation):
    """With larger weights too. A bias of zero leaves every state at zero until the first input."""
    call = silence(form, bias=bias)
    slope = jax.jit(jax.grad(total(call, implementation), (0, 1)))
    for scale in (1.0, 10.0):
        (own,) = call.params.layers
        found = slope(jlstm.Params((own._replace(w_h=scale * own.w_h),)), call.xs)
        assert max(np.abs(a).max() for a in jax.tree.leaves(found)) < 100
        assert np.abs(found[0].layers[0].w_x).max() > 1e-3


@pytest.mark.full
@FORMS
def test_second_derivatives_are_bounded_too(form):
    """In both modes."""
    call = silence(form, time=8)
    args = call.params, jnp.asarray(call.xs)
    direction = random_like(1, args)
    slope = jax.grad(total(call), (0, 1))

    def along(args):
        pairs = zip(jax.tree.leaves(slope(*args)), jax.tree.leaves(direction), strict=True)
        return sum(jnp.vdot(a, b) for a, b in pairs)

    forward = jax.jit(lambda *args: jax.jvp(slope, args, direction)[1])(*args)
    reverse = jax.jit(jax.grad(along))(args)
    assert_close(forward, reverse, atol=1e-2)
    assert max(np.abs(a).max() for a in jax.tree.leaves(forward)) < 1e4


@FORMS
def test_a_learned_initial_carry_leaves_zero(form):
    config = Config(3, (Layer(4, layer_norm=form),), learn_initial_carry=True)
    call = make_call(config, 3, (2,), 0)
    params = jlstm.init(jax.random.key(0), config)
    found = jax.grad(lambda p: loss(apply(call, params=p, carry=None)[1]))(params)
    assert all(np.abs(a).max() > 1e-3 for a in found.layers[0].initial_carry)


@pytest.mark.parametrize("form", NORMS)
def test_epsilon_is_that_of_the_reference(form):
    """Values, and derivatives at states that are nearly equal, by differences in float64."""
    layer = Layer(4, layer_norm=form, layer_norm_epsilon=0.3)
    call = make_call(Config(3, (layer,)), 4, (2,), 0)
    assert_close(apply(call), expected(call), atol=1e-5)
    default = make_call(Config(3, (Layer(4, layer_norm=form),)), 4, (2,), 0)
    assert np.abs(apply(call)[1] - apply(default)[1]).max() > 1e-2
    same = Layer(4, layer_norm=form, layer_norm_epsilon=NORMS[form])
    assert_close(apply(call._replace(config=Config(3, (same,)))), apply(default), atol=0)


def test_epsilon_bounds_derivatives_at_nearly_equal_numbers():
    """Where the derivative is that of the formula: about 1 / sqrt(epsilon)."""
    carry = (Carry(jnp.zeros((1, 4)), jnp.full((1, 4), 1e-5)),)
    found = {}
    for epsilon in (None, 1.0):
        layer = Layer(4, layer_norm="products_and_cell", layer_norm_epsilon=epsilon)
        config = Config(3, (layer,))
        params = jlstm.init(jax.random.key(0), config)

        def of(carry, config=config, params=params):
            return loss(jlstm.apply(config, params, carry, jnp.ones((1, 1, 3)))[1])

        found[epsilon] = np.abs(jax.grad(of)(carry)[0].h).max()
    assert found[None] > 50 * found[1.0] > 0


def test_epsilon_is_checked_and_saved(tmp_path):
    with pytest.raises(
        ValueError, match=r"layer_norm_epsilon is 0.0; expected .* of at least 1e-30"
    ):
        Layer(4, layer_norm="gates_and_cell", layer_norm_epsilon=0)
    with pytest.raises(TypeError, match="layer_norm_epsilon is '1e-5'; expected a number"):
        Layer(4, layer_norm="gates_and_cell", layer_norm_epsilon="1e-5")
    with pytest.raises(ValueError, match="layer_norm is None, so there is no variance"):
        Layer(4, layer_norm_epsilon=1e-3)
    config = Config.stack(3, [4], layer_norm="products_and_cell", layer_norm_epsilon=1e-3)
    jlstm.save(tmp_path / "model", config, jlstm.init(jax.random.key(0), config))
    assert jlstm.load(tmp_path / "model")[0] == config
