"""A thousand random networks a framework, there and back and beside the live framework."""

import os
import pathlib
import subprocess
import sys

import pytest

FRAMEWORKS = ("torch", "keras", "tensorflow", "linen", "nnx", "haiku", "equinox", "cudnn", "onnx")


@pytest.mark.long
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_thousand_random_networks(framework):
    (file,) = pathlib.Path(__file__).parent.rglob(f"test_{framework}.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(file), "-k", "there_and_back or gives_what"],
        env={
            **os.environ,
            "JLSTM_EXAMPLES": os.environ.get("JLSTM_EXAMPLES", "all").replace("all", "1000"),
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # programs are compiled for longer than they run
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
