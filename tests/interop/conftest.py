"""Whole files of every kind, for tests that change them."""

import jax
import pytest

import jlstm
from jlstm import Config
from jlstm.interop import to_keras
from jlstm.interop.command import convert


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A whole file of each kind."""
    for name in ("torch", "keras", "onnx", "tensorflow", "tf_keras"):
        pytest.importorskip(name)
    from tests.interop.test_bad_files import checkpoint

    folder = tmp_path_factory.mktemp("whole")
    config = Config.stack(5, [4, 3])
    jlstm.save(folder / "a.safetensors", config, jlstm.init(jax.random.key(0), config))
    config = Config.stack(5, [4, 4])
    jlstm.save(folder / "b.safetensors", config, jlstm.init(jax.random.key(0), config))
    for kind in (".pt", ".keras", ".weights.h5", ".onnx", ".npz"):
        convert(folder / "b.safetensors", folder / f"a{kind}")
    to_keras(*jlstm.load(folder / "b.safetensors")).save(folder / "a.h5")
    checkpoint(folder / "a")
    return folder
