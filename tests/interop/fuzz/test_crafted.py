"""Files made to do harm: refused in a second and little memory, in words that say why."""

import pytest

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
DEFAULT += [(".index", name) for name in ("repeated", "sharing_in_blocks", "large_numbers")]
DEFAULT += [(".keras", "zeros, less"), (".npz", "lzma"), (".npz", "deflate")]
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
