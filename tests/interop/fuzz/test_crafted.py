"""Files made to do harm: refused in a second and little memory, in words that say why."""

import os

import numpy as np
import pytest

from jlstm import load
from jlstm.interop import from_keras, from_onnx, from_tensorflow, from_torch
from tests.examples import mostly_full
from tests.interop.fuzz import crafted_archives, crafted_tensorflow
from tests.interop.fuzz.bounds import refused
from tests.interop.fuzz.targets import KINDS

pytestmark = pytest.mark.filterwarnings("ignore")

CASES = [(kind, name) for kind, own in KINDS.items() for name in own.crafted]
DEFAULT = [("state.pt", name) for name in ("allocated", "hashed", "entries", "tensors")]
DEFAULT += [("state.pt", name) for name in ("endless offset", "overflowing", "twice")]
DEFAULT += [("v2.index", name) for name in ("repeated", "unordered", "large_numbers")]
DEFAULT += [("model.keras", "zeros, less"), ("model.keras", "chain")]
DEFAULT += [("arrays.npz", name) for name in ("lzma", "deflate", "twice")]
DEFAULT += [("model.onnx", name) for name in ("nodes", "nested", "long numbers", "doubled")]
DEFAULT += [("only.weights.h5", name) for name in ("texts at one place", "layers again", "ring")]
DEFAULT += [("external.onnx", "device"), ("suite.toml", "layers")]
DEFAULT += [("records.jsonl", "mode above the folder"), ("records.jsonl.gz", "records")]


@pytest.mark.parametrize(("kind", "name"), mostly_full(CASES, DEFAULT))
def test_crafted_files(kind, name, tmp_path):
    own = KINDS[kind]
    make, words = own.crafted[name]
    path = tmp_path / kind.replace(kind.partition(".")[0], "crafted")
    make(path)
    error = refused(own.read, path)
    assert error is not None
    assert words in str(error)


OF_KERAS = list(crafted_tensorflow.KERAS)


@pytest.mark.parametrize("name", mostly_full(OF_KERAS, ["siblings", "deep"]))
def test_crafted_checkpoints_of_keras(name, tmp_path):
    pytest.importorskip("google_crc32c")
    make, words = crafted_tensorflow.KERAS[name]
    make(tmp_path / "crafted.index")
    error = refused(from_keras, tmp_path / "crafted.index")
    assert words in str(error)


def test_hdf5_files_of_other_floats_are_refused(tmp_path):
    """They were read as if IEEE's, and so as other numbers."""
    pytest.importorskip("h5py")
    path = tmp_path / "crafted.weights.h5"
    crafted_archives.other_floats(path)
    assert "numbers in a format of its own" in str(refused(from_keras, path, "crafted"))


READERS = {
    ".pt": from_torch,
    ".keras": from_keras,
    ".npz": from_tensorflow,
    ".onnx": from_onnx,
    ".index": from_tensorflow,
}
ENDINGS = (".safetensors", ".pt", ".npz", ".keras", ".h5", ".onnx", ".index")


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_pipes_and_devices_are_refused(ending, kind, tmp_path):
    """Reading would wait for ever, or never end."""
    for needed in ("torch", "h5py", "onnx"):
        pytest.importorskip(needed)
    path = tmp_path / f"special{ending}"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    readers = [READERS[ending]] if ending in READERS else []
    readers += {
        ".safetensors": [load, from_torch],
        ".h5": [from_keras],
        ".index": [from_keras],
    }.get(ending, [])
    for read in readers:
        with pytest.raises(ValueError, match=r"special.*a pipe or a device"):
            read(path)


@pytest.mark.parametrize("dtype", [">f4", ">f2"])
def test_big_endian_arrays(dtype, tmp_path):
    arrays = {
        "rnn/lstm_cell/kernel": np.arange(160).reshape(10, 16),
        "rnn/lstm_cell/bias": np.ones(16),
    }
    np.savez(tmp_path / "a.npz", **{name: a.astype(dtype) for name, a in arrays.items()})
    _, params = from_tensorflow(tmp_path / "a.npz", forget_bias=0)
    np.testing.assert_array_equal(
        params.layers[0].w_h[0, :4], arrays["rnn/lstm_cell/kernel"][6, :4]
    )
