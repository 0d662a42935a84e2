"""The compiled library: its activations, its checks of operands, and libraries that do not fit."""

import ctypes

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jlstm.dtypes import state_dtype
from jlstm.kernels.cpu import library

pytestmark = pytest.mark.usefixtures("kernel")


def activation(name, xs):
    suffix = "_float64" if xs.dtype == np.float64 else ""
    function = getattr(library.load()[0], f"jlstm_{name}{suffix}")
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    out = np.empty_like(xs)
    function(xs.ctypes.data, out.ctypes.data, xs.size)
    return out


EXACT = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}
LIMITS = {"sigmoid": (0.0, 0.5, 1.0), "tanh": (-1.0, 0.0, 1.0)}


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_are_within_their_bound(name):
    """A sample of floats; tests/kernels/native/activations.cc checks all."""
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
def test_activations_of_float64_are_within_their_bound(name):
    """Compared with long double, at numbers of every magnitude."""
    draw = np.random.default_rng(0)
    xs = draw.normal(size=200_000) * 10.0 ** draw.uniform(-12, 2.8, 200_000)
    wide = xs.astype(np.longdouble)
    wanted = 1 / (1 + np.exp(-wide)) if name == "sigmoid" else np.tanh(wide)
    normal = np.abs(wanted) > 1e-300
    off = (activation(name, xs) - wanted)[normal] / np.spacing(wanted[normal].astype("float64"))
    assert np.max(np.abs(off)) <= 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_meet_their_limits(name, dtype):
    xs = np.array([-np.inf, -1000, -0.0, 0.0, 1000, np.inf, np.nan], dtype)
    low, middle, high = LIMITS[name]
    np.testing.assert_array_equal(
        activation(name, xs), np.array([low, low, middle, middle, high, high, np.nan], dtype)
    )


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_never_decrease(name):
    xs = np.sort(np.arange(0, 2**31, 1009, dtype=np.uint32).view("float32"))
    xs = xs[np.isfinite(xs) & (np.abs(xs) < 90)]
    xs = np.concatenate([-xs[::-1], xs])
    ys = activation(name, xs)
    assert np.all(np.diff(ys) >= 0)


# The operands, results and options of each function, for 1 group, 3 steps, 2 sequences, 5 inputs
# and 4 units.
FLAGS = np.bool_
STATE, HS, Z = (1, 2, 4), (1, 3, 2, 4), (1, 3, 2, 16)
FUNCTIONS = {
    "forward": (
        dict(w_x=(1, 5, 16), w_h=(1, 4, 16), b=(1, 16), c=STATE, h=STATE, initial_c=STATE,
             initial_h=STATE, xs=(1, 3, 2, 5), valid=(1, 3, 2), resets=(1, 3, 2)),
        dict(last_c=STATE, last_h=STATE, hs=HS, gates=Z, c_before=HS, h_before=HS),
        dict(reverse=np.zeros(1, np.int64), side_by_side=np.int64(0)),
    ),
    "backward": (
        dict(w_h=(1, 4, 16), gates=Z, c_before=HS, d_last_c=STATE, d_last_h=STATE, d_hs=HS,
             valid=(1, 3, 2), resets=(1, 3, 2)),
        dict(d_z=Z, d_c=STATE, d_h=STATE, d_initial_c=STATE, d_initial_h=STATE),
        dict(reverse=np.zeros(1, np.int64), side_by_side=np.int64(0)),
    ),
    "gradients": (
        dict(w_x=(1, 5, 16), xs=(1, 3, 2, 5), h_before=HS, d_z=Z),
        dict(d_w_x=(1, 5, 16), d_w_h=(1, 4, 16), d_b=(1, 16), d_xs=(1, 3, 2, 5)),
        {},
    ),
}  # fmt: skip


# Operands and results that have the dtype of products. Others have that of the state.
STORED = ("w_x", "w_h", "xs", "hs", "h_before", "d_hs", "d_z", "d_xs")


def call(function, format="float32", **changed):
    """Calls a function of the library with the shapes of some operands or results changed."""
    operands, results, options = FUNCTIONS[function]
    shape = {**operands, **results, **changed}

    def kind(name):
        if name in ("valid", "resets"):
            return FLAGS
        return jnp.dtype(format if name in STORED else state_dtype(format))

    foreign = jax.ffi.ffi_call(
        f"jlstm_{function}_{format}", [jax.ShapeDtypeStruct(shape[n], kind(n)) for n in results]
    )
    arrays = [jnp.zeros(shape[name], kind(name)) for name in operands]
    jax.block_until_ready(foreign(*arrays, **{**options, **changed.get("options", {})}))


@pytest.mark.parametrize("format", library.FORMATS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_operands_of_the_right_shapes_are_accepted(function, format, x64):
    call(function, format)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (function, name)
        for function, (operands, results, _) in FUNCTIONS.items()
        for name in {**operands, **results}
    ],
)
def test_operands_of_wrong_shapes_are_refused(function, name):
    """The function checks every shape before it reads any array."""
    operands, results, _ = FUNCTIONS[function]
    shape = {**operands, **results}[name]
    for at in range(1, len(shape)):
        smaller = (*shape[:at], shape[at] - 1, *shape[at + 1 :])
        with pytest.raises(Exception, match="jlstm: "):
            call(function, **{name: smaller})


@pytest.mark.parametrize(("function", "name"), [("forward", "hs"), ("backward", "d_hs")])
def test_outputs_of_two_directions_must_be_side_by_side(function, name):
    """[T, B, 2, H], not [2, T, B, H]."""
    operands, results, _ = FUNCTIONS[function]
    of_both = ("xs", "valid", "resets")
    two = {n: s if n in of_both else (2, *s[1:]) for n, s in {**operands, **results}.items()}
    two["options"] = {"reverse": np.array([0, 1]), "side_by_side": np.int64(1)}
    call(function, **{**two, name: (3, 2, 2, 4)})
    with pytest.raises(
        Exception, match=rf"{name} has shape \[2, 3, 2, 4\], expected \[3, 2, 2, 4\]"
    ):
        call(function, **two)


@pytest.mark.parametrize(
    ("function", "missing", "message"),
    [
        ("forward", "initial_c", "resets are given without initial_c and initial_h"),
        ("forward", "c_before", "must all be present or all be absent"),
        ("backward", "d_initial_h", "resets are given without d_initial_c and d_initial_h"),
    ],
)
def test_operands_that_belong_together_must_all_be_present(function, missing, message):
    with pytest.raises(Exception, match=message):
        call(function, **{missing: (0,)})


def test_a_library_for_a_newer_interface_is_not_used(monkeypatch):
    """It gives one warning, and nothing is registered."""
    monkeypatch.setattr(library, "interface_version", lambda: (0, 0))
    with pytest.warns(
        RuntimeWarning, match="foreign function interface 0.1, but this jaxlib has 0.0"
    ):
        found, reason = library.load.__wrapped__()
    assert found is None and "reinstall" in reason


def test_without_the_library_one_warning_says_why(monkeypatch):
    """The scan, which is used instead, is slower."""
    monkeypatch.setattr(library, "_path", lambda: None)
    with pytest.warns(
        RuntimeWarning, match="jlstm does not use its CPU kernels: .* install a compiler"
    ):
        found, reason = library.load.__wrapped__()
    assert found is None and "reinstall" in reason
