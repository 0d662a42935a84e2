"""Compiled executables, loaded in a process that has traced nothing."""

import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import serialize_executable

import jlstm

pytestmark = pytest.mark.usefixtures("kernel")

LOAD = """
import pickle, sys
import numpy as np
from jax.experimental import serialize_executable
import jlstm

registers, path = sys.argv[1:]
if registers == "yes":
    jlstm.register_kernels()
    jlstm.register_kernels()
with open(path, "rb") as file:
    saved, params, xs, expected = pickle.load(file)
program = serialize_executable.deserialize_and_load(*saved)
np.testing.assert_allclose(program(params, xs), expected, atol=1e-6)
"""


@pytest.fixture
def saved(tmp_path):
    """A compiled gradient, which contains all three kernels, with its arguments and result."""
    config = jlstm.Config.stack(6, [4, 5], bidirectional=True)
    params = jlstm.init(jax.random.key(0), config)
    xs = jnp.ones((3, 2, 6))

    def gradient(params, xs):
        total = lambda params: jnp.sum(jlstm.apply(config, params, None, xs)[1] ** 2)  # noqa: E731
        return jax.grad(total)(params).layers[0].w_x

    compiled = jax.jit(gradient).lower(params, xs).compile()
    assert "jlstm_backward" in compiled.as_text()
    kept = serialize_executable.serialize(compiled)
    arguments = jax.tree.map(np.asarray, (params, xs))
    path = tmp_path / "saved"
    path.write_bytes(pickle.dumps((kept, *arguments, np.asarray(compiled(params, xs)))))
    return path


def load(saved, registers):
    command = [sys.executable, "-c", LOAD, registers, str(saved)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.full
def test_an_executable_is_loaded_after_the_kernels_are_registered(saved):
    run = load(saved, "yes")
    assert run.returncode == 0, run.stderr


@pytest.mark.full
def test_without_registration_an_executable_is_not_loaded(saved):
    """What the guide says."""
    run = load(saved, "no")
    assert run.returncode == 1 and "No FFI handler registered for jlstm_" in run.stderr
