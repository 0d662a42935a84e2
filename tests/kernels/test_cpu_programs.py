"""Compiled programs that call the kernels, and other processes: contracts 3, 8 and 13."""

import hashlib
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Config, Layer
from jlstm.kernels.cpu import library
from tests.examples import mostly_full
from tests.networks import assert_close, gradients, loss, make_call, run, scaled

pytestmark = pytest.mark.usefixtures("kernel")
ALL = ("lengths", "mask", "resets")
SETS = ["portable", "avx2", "avx512", "avx512_bf16"]  # slowest first


def test_both_directions_train_without_a_copy_of_their_outputs():
    """XLA copies and transposes none, for a loss that joins them and for one that sums them."""
    config = Config.stack(8, [16], bidirectional=True)
    params, xs = jlstm.init(jax.random.key(0), config), jnp.ones((7, 3, 8))

    def summed(params):
        return jnp.sum(jlstm.apply(config, params, None, xs, implementation="cpu")[1] ** 2)

    def joined(params):
        ys = jlstm.apply(config, params, None, xs, implementation="cpu")[1]
        return jnp.sum(jnp.tanh(ys @ jnp.ones((32, 2))))

    for function in (summed, joined):
        program = jax.jit(jax.value_and_grad(function)).lower(params).compile().as_text()
        assert "f32[7,3,2,16]" in program
        moved = re.findall(r"= f32\[(?:7,3,2|2,7,3),16\]\S* (?:copy|transpose)\(", program)
        assert not moved, moved


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


def test_an_exported_program_needs_no_kernel():
    """It runs without this library, which has the foreign call. So it uses the scan."""
    call = make_call(Config.stack(3, [4]), 5, (2,), 0)
    function = jax.jit(lambda params, xs: jlstm.apply(call.config, params, None, xs)[1])
    exported = jax.export.export(function)(call.params, call.xs)
    assert "jlstm_" not in str(exported.mlir_module())
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


@pytest.mark.full
def test_results_do_not_depend_on_the_number_of_threads():
    """Contract 13, bit for bit, forward and backward, where units and where batches are divided."""
    code = "print(digest(units=300, batch=4), digest(units=60, batch=40))"
    seen = {threads: child(code, NPROC=str(threads)) for threads in (1, 2, 3, 8)}
    assert len(set(seen.values())) == 1, seen


@pytest.mark.parametrize("isa", mostly_full(SETS, default=["portable"]))
def test_each_instruction_set_agrees(isa):
    """JLSTM_CPU_ISA selects it, unless this processor lacks it. All number formats."""
    code = "print(library.instruction_set(), deviation(), deviation('bfloat16') / 1e4)"
    served, *errors = child(code, JLSTM_CPU_ISA=isa).split()
    assert SETS.index(served) == min(SETS.index(isa), SETS.index(library.instruction_set()))
    assert max(map(float, errors)) < 2e-6
    code = "jax.config.update('jax_enable_x64', True)\nprint(deviation('float64'))"
    assert float(child(code, JLSTM_CPU_ISA=isa)) < 2e-14


@pytest.mark.full
def test_programs_come_back_from_the_compilation_cache(tmp_path):
    """A later process reads the program from disk, and finds the kernel that it calls."""
    code = (
        "from jax._src import monitoring\n"
        "events = []\n"
        "monitoring.register_event_listener(lambda name, **_: events.append(name))\n"
        "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)\n"
        "jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)\n"
        "call = make_call(Config.stack(3, [20]), 5, (2,), 0)\n"
        "f = jax.jit(lambda p, xs: jlstm.apply(call.config, p, None, xs, implementation='cpu'))\n"
        "ys = np.asarray(f(call.params, call.xs)[1])\n"
        "hit = '/jax/compilation_cache/cache_hits' in events\n"
        "print(hashlib.sha256(ys.tobytes()).hexdigest(), hit)"
    )
    seen = [child(code, JAX_COMPILATION_CACHE_DIR=str(tmp_path)).split() for _ in range(2)]
    assert seen[0][0] == seen[1][0]
    assert [hit for _, hit in seen] == ["False", "True"]


def child(code, **environment):
    """What a new process prints that runs `code` with the names of this module."""
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import *\n{code}"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def digest(units, batch):
    """The hash of all results of a call."""
    call = make_call(Config.stack(40, [units]), 30, (batch,), 0, ALL)
    call = call._replace(params=scaled(call.params))
    made = jax.tree.leaves((run(call, "cpu"), gradients(call, "cpu")))
    return hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in made)).hexdigest()


def deviation(dtype="float32"):
    """The largest error of the kernels' values, or a tenth of that of their gradients."""
    config = Config(9, (Layer(37, bidirectional=True),), dtype=dtype, param_dtype=dtype)
    call = make_call(config, 12, (11,), 0, ALL, dtype if dtype != "bfloat16" else "float32")
    call = call._replace(params=scaled(call.params))

    def wide(made):
        return [np.asarray(a, "float64") for a in jax.tree.leaves(made)]

    seen, wanted = (wide(run(call, name)) for name in ("cpu", "scan"))
    values = [abs(a - b).max() for a, b in zip(seen, wanted, strict=True)]
    seen, wanted = (wide(gradients(call, name)) for name in ("cpu", "scan"))
    slopes = [
        abs(a - b).max() / (1e-3 + abs(b).max()) / 10 for a, b in zip(seen, wanted, strict=True)
    ]
    return float(max(values + slopes))
