"""Files made to do harm: refused in a second and little memory, in words that say why."""

import os

import numpy as np
import pytest

from jlstm import load
from jlstm.interop import from_keras, from_onnx, from_tensorflow, from_torch
from tests.examples import mostly_full
from tests.interop.fuzz import crafted_archives, crafted_onnx, crafted_tensorflow, crafted_torch
from tests.interop.fuzz.bounds import refused

pytestmark = pytest.mark.filterwarnings("ignore")

READERS = {
    ".pt": from_torch,
    ".index": from_tensorflow,
    ".ckpt": from_tensorflow,
    ".keras": from_keras,
    ".npz": from_tensorflow,
    ".onnx": from_onnx,
}
CRAFTED = {
    ".keras": crafted_archives.KERAS,
    ".npz": crafted_archives.NPZ,
    ".onnx": crafted_onnx.CRAFTED,
    ".pt": crafted_torch.CRAFTED,
    ".index": crafted_tensorflow.CRAFTED,
    ".ckpt": crafted_tensorflow.CRAFTED_V1,
}
CASES = [(ending, name) for ending, own in CRAFTED.items() for name in own]
DEFAULT = [(".pt", name) for name in ("allocated", "hashed", "entries", "tensors")]
DEFAULT += [(".pt", name) for name in ("endless offset", "endless shape", "overflowing", "twice")]
DEFAULT += [(".index", name) for name in ("repeated", "unordered", "big_endian", "large_numbers")]
DEFAULT += [
    (".keras", "zeros, less"),
    (".keras", "chain"),
    (".npz", "lzma"),
    (".npz", "deflate"),
    (".npz", "twice"),
]
DEFAULT += [(".onnx", name) for name in ("nodes", "nested", "long numbers", "doubled")]


@pytest.mark.parametrize(("ending", "name"), mostly_full(CASES, DEFAULT))
def test_crafted_files(ending, name, tmp_path):
    for needed in ("torch", "h5py", "onnx"):
        pytest.importorskip(needed)
    make, words = CRAFTED[ending][name]
    path = tmp_path / f"crafted{ending}"
    make(path)
    error = refused(READERS[ending], path)
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
        with pytest.raises(ValueError, match=r"special.*not a regular file"):
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
