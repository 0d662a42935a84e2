"""An import needs the memory of the weights about once."""

import subprocess
import sys

import jax
import pytest

import jlstm
from jlstm import Config
from jlstm.interop import from_onnx
from jlstm.interop.command import convert
from tests.interop.frameworks import assert_same

READERS = {
    ".safetensors": "jlstm.load",
    ".pt": "interop.from_torch",
    ".keras": "interop.from_keras",
    ".weights.h5": "interop.from_keras",
    ".onnx": "interop.from_onnx",
}

# The peak of what the process holds for itself; maps of files can be dropped and do not count.
MEASURE = """
import sys, threading
import jax, jlstm, torch, h5py, onnx
from jlstm import interop
jax.devices()
def held():
    line = next(l for l in open("/proc/self/status") if l.startswith("RssAnon"))
    return int(line.split()[1]) * 1024
before, peak, done = held(), [0], threading.Event()
def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], held())
thread = threading.Thread(target=watch)
thread.start()
_, params = READER(sys.argv[1])
jax.block_until_ready(params)
done.set()
thread.join()
print((peak[0] - before) / sum(a.nbytes for a in jax.tree.leaves(params)))
"""


def saved(folder, inputs, units):
    config = Config.stack(inputs, [units])
    jlstm.save(folder / "a.safetensors", config, jlstm.init(jax.random.key(0), config))
    return folder / "a.safetensors"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", READERS)
def test_the_peak_of_an_import(kind, tmp_path):
    for name in ("torch", "keras", "onnx"):
        pytest.importorskip(name)
    path = saved(tmp_path, 12_000, 2_048)
    if kind != ".safetensors":
        convert(path, tmp_path / f"a{kind}")
    code = MEASURE.replace("READER", READERS[kind])
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / f"a{kind}")], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 1.2


def test_large_arrays_of_onnx_files_are_read_from_where_they_lie(tmp_path):
    pytest.importorskip("onnx")
    path = saved(tmp_path, 1_100, 256)
    convert(path, tmp_path / "a.onnx")
    data = (tmp_path / "a.onnx").read_bytes()
    assert len(data) > 1 << 22
    assert_same(from_onnx(tmp_path / "a.onnx")[1], jlstm.load(path)[1])
    for size in (len(data) - 100, len(data) // 2):
        (tmp_path / "b.onnx").write_bytes(data[:size])
        with pytest.raises(ValueError, match="not a whole ONNX model"):
            from_onnx(tmp_path / "b.onnx")
