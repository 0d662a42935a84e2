"""Keras in a command: nothing of TensorFlow and HDF5 on standard error."""

import os
import subprocess
import sys

import jax
import pytest

import jlstm
from jlstm.interop import quiet

ENTERS = """
import os, sys
from jlstm.interop import quiet

for name in ("KERAS_BACKEND", *sys.argv[1:]):
    os.environ.pop(name, None)
try:
    with quiet.without_tensorflow_log():
        print(os.environ["KERAS_BACKEND"])
        os.write(2, b"noise")
        raise ValueError("an error")
except ValueError as error:
    print(error, "KERAS_BACKEND" in os.environ)
os.write(2, b"heard")
"""
LIMITED = """
import resource
from jlstm.__main__ import main

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
main()
"""


def test_what_is_written_within_is_dropped_and_errors_are_not():
    run = subprocess.run([sys.executable, "-c", ENTERS], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("jax\nan error False\n", "heard")


def test_a_backend_that_was_chosen_stays(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with quiet.without_tensorflow_log():
        assert os.environ["KERAS_BACKEND"] == "torch"
    assert os.environ["KERAS_BACKEND"] == "torch"


@pytest.mark.full
@pytest.mark.parametrize("name", ["out.keras", "out.weights.h5"])
def test_where_a_file_may_not_grow_one_line_says_so(name, tmp_path):
    """As on a full disk, where HDF5 printed hundreds of lines and ended the process."""
    pytest.importorskip("keras")
    pytest.importorskip("resource")
    config = jlstm.Config.stack(8, [16])
    jlstm.save(tmp_path / "in.safetensors", config, jlstm.init(jax.random.key(0), config))
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, "convert", "in.safetensors", name],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert run.stderr == f"jlstm: cannot write {name}: File too large\n"
    assert run.returncode == 2
    assert [file.name for file in tmp_path.iterdir()] == ["in.safetensors"]
