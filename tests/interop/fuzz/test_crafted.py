"""Files made to do harm: refused in a second and little memory, in words that say why."""

import pytest

from jlstm.interop import from_tensorflow, from_torch
from tests.interop.fuzz import crafted_tensorflow, crafted_torch
from tests.interop.fuzz.bounds import refused

pytestmark = pytest.mark.filterwarnings("ignore")

READERS = {".pt": from_torch, ".index": from_tensorflow, ".ckpt": from_tensorflow}
CRAFTED = {
    ".pt": crafted_torch.CRAFTED,
    ".index": crafted_tensorflow.CRAFTED,
    ".ckpt": crafted_tensorflow.CRAFTED_V1,
}
CASES = [(ending, name) for ending, own in CRAFTED.items() for name in own]


@pytest.mark.parametrize(("ending", "name"), CASES)
def test_crafted_files(ending, name, tmp_path):
    for needed in ("torch", "h5py", "onnx"):
        pytest.importorskip(needed)
    make, words = CRAFTED[ending][name]
    path = tmp_path / f"crafted{ending}"
    make(path)
    error = refused(READERS[ending], path)
    assert error is not None
    assert words in str(error)
