"""The compiled kernels beside the scan and the reference: contracts 5 to 9 and 13."""

import ctypes
import dataclasses
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jlstm
from jlstm import Config, Layer
from jlstm.kernels import library
from tests.networks import assert_close, expected, loss, make_call, require_kernel

ALL = ("lengths", "mask", "resets")


@pytest.fixture(autouse=True)
def kernel():
    require_kernel()


def run(call, implementation, **changes):
    call = call._replace(**changes)
    return jlstm.apply(
        call.config, call.params, call.carry, call.xs, **call.times, implementation=implementation
    )


def gradients(call, implementation):
    def total(args):
        params, carry, xs = args
        return loss(run(call, implementation, params=params, carry=carry, xs=xs))

    return jax.grad(total)((call.params, call.carry, call.xs))


def scaled(tree):
    """Weights of the size that training starts from, so that gates do not saturate."""
    return jax.tree.map(lambda a: (a / np.sqrt(a.shape[-1])).astype("float32"), tree)


@st.composite
def shapes(draw):
    """Sizes that are and are not multiples of a vector's width, batches on both sides of a tile."""
    size = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 67])
    batch = st.sampled_from([1, 2, 5, 6, 7, 12, 13, 25, 97])
    layer = Layer(draw(size), bidirectional=draw(st.booleans()), bias=draw(st.booleans()))
    chosen = draw(st.sets(st.sampled_from(ALL)))
    config = Config(draw(size), (layer,), learn_initial_carry=draw(st.booleans()))
    call = make_call(
        config, draw(st.integers(1, 9)), (draw(batch),), draw(st.integers(0, 99)), chosen
    )
    return call._replace(params=scaled(call.params))


@settings(max_examples=40)
@given(shapes())
def test_every_size_gives_what_the_scan_gives(call):
    """Values, last carry and all gradients."""
    assert_close(run(call, "cpu"), run(call, "scan"), atol=2e-6)
    assert_close(gradients(call, "cpu"), gradients(call, "scan"), atol=5e-4)


@settings(max_examples=15)
@given(shapes())
def test_every_size_gives_what_the_reference_gives(call):
    call = call._replace(xs=call.xs[:3], times={})
    assert_close(run(call, "cpu"), expected(call), atol=1e-5)


@settings(max_examples=20)
@given(shapes())
def test_bfloat16_gives_what_the_scan_gives(call):
    """Contract 9: products read weights, inputs and h in bfloat16, all else is float32."""
    call = call._replace(config=dataclasses.replace(call.config, dtype="bfloat16"))
    (carry, ys), (scan_carry, scan_ys) = run(call, "cpu"), run(call, "scan")
    assert ys.dtype == jnp.bfloat16 and carry[0].h.dtype == jnp.float32
    # A sum in another order may round h, and with it the next sums, to a neighbour in bfloat16.
    assert_close(carry, scan_carry, atol=2e-3)
    assert_close(ys.astype("float32"), scan_ys.astype("float32"), atol=8e-3)
    slopes, wanted = (jax.tree.leaves(gradients(call, name)) for name in ("cpu", "scan"))
    for a, b in zip(slopes, wanted, strict=True):
        largest = np.abs(b.astype("float32")).max(initial=1e-3)
        assert_close(a.astype("float32") / largest, b.astype("float32") / largest, atol=2e-2)


@pytest.mark.parametrize("length", [0, 3])
def test_bfloat16_hands_on_a_carry_that_is_not_rounded(length):
    config = dataclasses.replace(Config.stack(3, [20]), dtype="bfloat16")
    call = make_call(config, 5, (2,), 0)
    call = call._replace(times={"lengths": np.full(2, length, "int32")})
    (carry,), _ = run(call, "cpu")
    assert np.any(carry.h != carry.h.astype("bfloat16").astype("float32"))
    if length == 0:
        assert_close((carry,), call.carry, atol=0)


@pytest.mark.parametrize("sizes", [(0, 3), (4, 0), (0, 0)])
def test_no_steps_and_no_sequences(sizes):
    time, batch = sizes
    call = make_call(Config(3, (Layer(5, bidirectional=True),)), time, (batch,), 0)
    assert_close(run(call, "cpu"), run(call, "scan"))
    assert_close(gradients(call, "cpu"), gradients(call, "scan"))


def test_a_thousand_steps_stay_close_to_float64():
    """Contract 9: values; tests/test_precision.py has the gradients."""
    call = make_call(Config.stack(4, [20]), 1000, (3,), 0)
    call = call._replace(params=scaled(call.params))
    assert_close(run(call, "cpu"), expected(call), atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_sequence(value):
    """NaN spreads from where it is to all later steps of its own sequence, and no further."""
    call = make_call(Config.stack(3, [20]), 6, (9,), 0)
    xs = call.xs.copy()
    xs[2, 4, 1] = value
    ys = np.asarray(run(call, "cpu", xs=xs)[1])
    clean = np.asarray(run(call, "cpu")[1])
    others = np.arange(9) != 4
    np.testing.assert_array_equal(ys[:, others], clean[:, others])
    np.testing.assert_array_equal(ys[:2], clean[:2])
    assert np.isnan(ys[2:, 4]).all() == np.isnan(value)
    assert_close(run(call, "cpu", xs=xs)[1], run(call, "scan", xs=xs)[1], atol=2e-6)


def test_padding_never_leaks():
    """Contract 7."""
    call = make_call(Config.stack(3, [20, 7]), 8, (9,), 0, ("lengths", "mask"))
    valid = (np.arange(8)[:, None] < call.times["lengths"]) & call.times["mask"]
    xs = np.where(valid[..., None], call.xs, np.float32(np.nan))
    assert_close(run(call, "cpu", xs=xs), run(call, "cpu"), atol=0)
    assert_close(gradients(call._replace(xs=xs), "cpu"), gradients(call, "cpu"), atol=0)


def test_results_are_the_same_for_every_batch():
    """Each sequence by itself, bit for bit what it is among others."""
    call = make_call(Config.stack(5, [70]), 6, (40,), 0)
    together = np.asarray(run(call, "cpu")[1])
    for n in (0, 13, 39):
        carry = jax.tree.map(lambda a, n=n: a[n : n + 1], call.carry)
        alone = run(call, "cpu", carry=carry, xs=call.xs[:, n : n + 1])[1]
        np.testing.assert_array_equal(together[:, n : n + 1], alone)


def test_an_ensemble_repeats_no_weights():
    """Contract 3: vmap over params alone makes groups that share their input."""
    config = Config.stack(8, [16])
    params = jax.vmap(lambda key: jlstm.init(key, config))(jax.random.split(jax.random.key(0), 5))
    xs = jnp.ones((7, 3, 8))

    def members(params):
        return jax.vmap(lambda p: jlstm.apply(config, p, None, xs, implementation="cpu")[1])(params)

    program = jax.jit(members).lower(params).compile()
    assert "f32[1,7,3,8]" in program.as_text() and "f32[5,7,3,8]" not in program.as_text()
    one_by_one = [
        jlstm.apply(config, jax.tree.map(lambda a, n=n: a[n], params), None, xs)[1]
        for n in range(5)
    ]
    assert_close(members(params), jnp.stack(one_by_one), atol=1e-6)


def test_members_with_flags_of_their_own():
    """Contract 3: vmap over params, lengths and resets at once."""
    call = make_call(Config(3, (Layer(6, bidirectional=True),)), 7, (4,), 0, ("lengths", "resets"))
    several = [make_call(call.config, 7, (4,), n, ("lengths", "resets")) for n in range(3)]

    def one(params, times, implementation):
        return jlstm.apply(
            call.config, params, None, call.xs, **times, implementation=implementation
        )

    def stacked(*a):
        return np.stack(a)

    params = jax.tree.map(stacked, *(s.params for s in several))
    times = jax.tree.map(stacked, *(s.times for s in several))

    def slope(params, times, implementation):
        return jax.grad(lambda p: loss(one(p, times, implementation)))(params)

    def of_all(function, implementation):
        return jax.vmap(lambda p, t: function(p, t, implementation))(params, times)

    for function in (one, slope):
        assert_close(of_all(function, "cpu"), of_all(function, "scan"), atol=1e-4)


def test_an_exported_program_needs_no_kernel():
    """The foreign call is this library's; a program that leaves it takes the scan."""
    call = make_call(Config.stack(3, [4]), 5, (2,), 0)
    function = jax.jit(lambda params, xs: jlstm.apply(call.config, params, None, xs)[1])
    exported = jax.export.export(function)(call.params, call.xs)
    assert "jlstm_" not in str(exported.mlir_module()).replace("lstm_run", "")
    assert_close(exported.call(call.params, call.xs), function(call.params, call.xs), atol=1e-6)


def test_one_foreign_call_a_sequence_and_two_for_its_gradient():
    config = Config(3, (Layer(4, bidirectional=True),))
    call = make_call(config, 50, (2,), 0)
    forward = jax.jit(lambda params: jlstm.apply(config, params, None, call.xs)[1])
    gradient = jax.jit(jax.grad(lambda params: loss(jlstm.apply(config, params, None, call.xs))))
    for function, calls in ((forward, 1), (gradient, 3)):
        program = function.lower(call.params).compile().as_text()
        assert program.count('custom_call_target="jlstm_') == calls
        assert " while(" not in program


@pytest.mark.parametrize("batch", [1, 40])
def test_results_do_not_depend_on_the_number_of_threads(batch):
    """Contract 13, bit for bit, forward and backward, with units and with the batch divided."""
    seen = {
        threads: child(f"print(digest({batch}))", NPROC=str(threads)) for threads in (1, 2, 3, 8)
    }
    assert len(set(seen.values())) == 1, seen


@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512"])
def test_each_instruction_set_agrees(isa):
    """Whatever this processor has of them: a slower one can be asked for by name."""
    served, error = child(
        "print(library.instruction_set(), deviation())", JLSTM_CPU_ISA=isa
    ).split()
    assert served == isa or served in ("portable", "avx2")
    assert float(error) < 2e-6


def child(code, **environment):
    """What a process of its own prints, with the functions below at hand."""
    prelude = (
        "import hashlib, jax, numpy as np\n"
        "from tests.test_cpu import *\n"
        "def digest(batch):\n"
        "    call = make_call(Config.stack(40, [150]), 30, (batch,), 0, ALL)\n"
        "    call = call._replace(params=scaled(call.params))\n"
        "    out = jax.tree.leaves((run(call, 'cpu'), gradients(call, 'cpu')))\n"
        "    return hashlib.sha256(b''.join(np.asarray(a).tobytes() for a in out)).hexdigest()\n"
        "def deviation():\n"
        "    call = make_call(Config(9, (Layer(37, bidirectional=True),)), 12, (11,), 0, ALL)\n"
        "    call = call._replace(params=scaled(call.params))\n"
        "    pairs = zip(jax.tree.leaves(run(call, 'cpu')), jax.tree.leaves(run(call, 'scan')))\n"
        "    slopes = [jax.tree.leaves(gradients(call, i)) for i in ('cpu', 'scan')]\n"
        "    worst = max(float(abs(a - b).max()) for a, b in pairs)\n"
        "    return max([worst] + [float(abs(a - b).max() / (1e-3 + abs(b).max())) / 10\n"
        "                          for a, b in zip(*slopes)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude + code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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
            jnp.ones((1, 3, 2, 5)), no_flags, no_flags, reverse=np.zeros(1, np.int64), side_by_side=np.int64(0), rounded=np.int64(0),
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


def test_calls_within_calls_and_side_by_side():
    """Calls that share XLA's pool with each other come to an end, with the right results."""
    call = make_call(Config.stack(20, [128]), 20, (8,), 0)
    many = jnp.stack([call.xs * (1 + n) for n in range(6)])

    @jax.jit
    def side_by_side(many):
        return [jlstm.apply(call.config, call.params, None, xs)[1] for xs in many]

    @jax.jit
    def in_a_loop(many):
        return jax.lax.map(lambda xs: jlstm.apply(call.config, call.params, None, xs)[1], many)

    for _ in range(20):
        np.testing.assert_array_equal(jnp.stack(side_by_side(many)), in_a_loop(many))


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("calls", [3000, pytest.param(100_000, marks=pytest.mark.long)])
def test_many_calls_take_no_more_memory(calls):
    call = make_call(Config.stack(8, [64]), 4, (24,), 0)
    step = jax.jit(jax.grad(lambda p: loss(jlstm.apply(call.config, p, None, call.xs))))
    for _ in range(500):
        jax.block_until_ready(step(call.params))
    before = resident()
    for _ in range(calls):
        jax.block_until_ready(step(call.params))
    assert resident() - before < 8e6
