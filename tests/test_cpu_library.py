"""The compiled library: its activations, its doors, and what happens where it does not fit."""

import ctypes

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jlstm.kernels import library

pytestmark = pytest.mark.usefixtures("kernel")


def activation(name, xs):
    function = getattr(library.load()[0], f"jlstm_{name}")
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    out = np.empty_like(xs)
    function(xs.ctypes.data, out.ctypes.data, xs.size)
    return out


EXACT = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}
LIMITS = {"sigmoid": (0.0, 0.5, 1.0), "tanh": (-1.0, 0.0, 1.0)}


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_are_within_their_bound(name):
    """On a sample of floats; tests/native/activations.cc looks at every one."""
    bits = np.arange(0, 2**32, 4099, dtype=np.uint32)
    xs = bits.view("float32")
    with np.errstate(all="ignore"):
        wanted = EXACT[name](xs.astype("float64"))
        seen = activation(name, xs)
        normal = np.isfinite(xs) & (np.abs(wanted) > 2.0**-125)
        units = np.spacing(np.abs(wanted[normal]).astype("float32")).astype("float64")
    assert np.max(np.abs(seen[normal] - wanted[normal]) / units) <= 2.6
    np.testing.assert_array_equal(np.isnan(seen), np.isnan(xs))


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_meet_their_limits(name):
    xs = np.array([-np.inf, -100, -0.0, 0.0, 100, np.inf, np.nan], "float32")
    low, middle, high = LIMITS[name]
    np.testing.assert_array_equal(
        activation(name, xs), np.float32([low, low, middle, middle, high, high, np.nan])
    )


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_never_fall(name):
    """As x rises."""
    xs = np.sort(np.arange(0, 2**31, 1009, dtype=np.uint32).view("float32"))
    xs = xs[np.isfinite(xs) & (np.abs(xs) < 90)]
    xs = np.concatenate([-xs[::-1], xs])
    ys = activation(name, xs)
    assert np.all(np.diff(ys) >= 0)


def test_operands_that_disagree_are_refused_unread():
    """The handler looks at every shape before it reads anything."""
    f32, nothing, no_flags = jnp.float32, jnp.zeros((0,)), jnp.zeros((0,), bool)
    shapes = [(1, 2, 4), (1, 2, 4), (1, 3, 2, 4), (0,), (0,), (0,)]

    def call(w_x, c):
        return jax.ffi.ffi_call("jlstm_forward", [jax.ShapeDtypeStruct(s, f32) for s in shapes])(
            w_x, jnp.ones((1, 4, 16)), nothing, c, jnp.ones((1, 2, 4)), nothing, nothing,
            jnp.ones((1, 3, 2, 5)), no_flags, no_flags, reverse=np.zeros(1, np.int64),
            side_by_side=np.int64(0), rounded=np.int64(0),
        )  # fmt: skip

    jax.block_until_ready(call(jnp.ones((1, 5, 16)), jnp.ones((1, 2, 4))))
    with pytest.raises(Exception, match="w_x has shape"):
        jax.block_until_ready(call(jnp.ones((1, 6, 16)), jnp.ones((1, 2, 4))))
    with pytest.raises(Exception, match="c has shape"):
        jax.block_until_ready(call(jnp.ones((1, 5, 16)), jnp.ones((1, 2, 3))))


def test_a_newer_interface_is_stepped_aside_from(monkeypatch):
    """With one warning, before anything is registered."""
    monkeypatch.setattr(library, "interface_version", lambda: (0, 0))
    with pytest.warns(
        RuntimeWarning, match="foreign function interface 0.1, and this jaxlib has 0.0"
    ):
        found, reason = library.load.__wrapped__()
    assert found is None and "reinstall" in reason


def test_a_missing_library_leaves_the_scan(monkeypatch):
    monkeypatch.setattr(library, "_path", lambda: None)
    found, reason = library.load.__wrapped__()
    assert found is None and "compiler" in reason
