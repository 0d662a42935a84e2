"""Each reader and files that are changed at random: a result, or an error in words, within bounds.

JLSTM_MUTATIONS says how many files the long run changes for each reader.
"""

import os
import shutil

import jax
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jlstm
from jlstm import Config
from jlstm.files import config_toml
from jlstm.interop import from_keras, from_onnx, from_tensorflow, from_torch, to_keras
from jlstm.interop.command import convert
from tests.interop.fuzz import crafted_archives, crafted_onnx, crafted_tensorflow, crafted_torch
from tests.interop.fuzz import mutations as change
from tests.interop.fuzz.bounds import refused
from tests.interop.test_bad_files import checkpoint

for _name in ("torch", "keras", "onnx", "tensorflow", "tf_keras", "safetensors"):
    pytest.importorskip(_name)

pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = 200_000  # bytes of a crafted file that is changed further


def config_of(path):
    return config_toml.network(config_toml.read(path))


# By kind: the reader, the changes besides those of bytes, and crafted files.
KINDS = {
    "jlstm.safetensors": (jlstm.load, change.of_header, {}),
    "torch.safetensors": (from_torch, change.of_header, {}),
    "state.pt": (from_torch, change.of_archive, crafted_torch.CRAFTED),
    "script.pt": (from_torch, change.of_archive, {}),
    "model.keras": (from_keras, change.of_archive, crafted_archives.KERAS),
    "packed.keras": (from_keras, change.of_archive, {}),
    "only.weights.h5": (from_keras, None, {}),
    "legacy.h5": (from_keras, None, {}),
    "model.onnx": (from_onnx, change.of_model, crafted_onnx.CRAFTED),
    "arrays.npz": (from_tensorflow, change.of_archive, crafted_archives.NPZ),
    "v2.index": (from_tensorflow, change.of_table, crafted_tensorflow.CRAFTED),
    "v1.ckpt": (from_tensorflow, change.of_table, crafted_tensorflow.CRAFTED_V1),
    "config.toml": (config_of, None, {}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A whole file of each kind."""
    import torch

    from tests.interop.test_tensorflow_v1 import CELLS, saved

    folder = tmp_path_factory.mktemp("whole")
    config = Config.stack(5, [4, 4])
    jlstm.save(folder / "jlstm.safetensors", config, jlstm.init(jax.random.key(0), config))
    for name in ("state.pt", "model.keras", "only.weights.h5", "model.onnx", "arrays.npz"):
        convert(folder / "jlstm.safetensors", folder / name)
    convert(folder / "jlstm.safetensors", folder / "torch.safetensors", to="torch")
    torch.jit.script(torch.nn.LSTM(5, 4)).save(folder / "script.pt")
    to_keras(*jlstm.load(folder / "jlstm.safetensors")).save(folder / "legacy.h5")
    crafted_archives.keras(folder / "packed.keras", crafted_archives.weights())
    checkpoint(folder / "v2")
    saved(folder / "v1.ckpt", CELLS["one"])
    (folder / "config.toml").write_text(config_toml.dumps(config))
    return folder


def corpus(kind, folder, whole):
    """The whole file of a kind, and the crafted files of it that are small."""
    made = [(whole / kind).read_bytes()]
    for write, _ in KINDS[kind][2].values():
        path = folder / kind
        write(path)
        if path.stat().st_size <= SMALL:
            made.append(path.read_bytes())
        for file in folder.iterdir():
            file.unlink()
    return made


def run(kind, folder, whole, count):
    """Reads `count` changed files of a kind."""
    read, structured, _ = KINDS[kind]
    files = corpus(kind, folder, whole)
    if kind == "v2.index":
        data = "v2.data-00000-of-00001"
        shutil.copy(whole / data, folder / data)
    path = folder / kind
    path.write_bytes(files[0])
    assert refused(read, path) is None or kind == "script.pt"
    found = [0, 0]

    @settings(max_examples=count, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def changed(data):
        if structured and data.draw(st.booleans()):
            content = structured(files[0], data.draw)
        else:
            own = data.draw(st.integers(0, 2 * len(files) - 1))  # mostly the whole file
            content = change.of_bytes(files[own if own < len(files) else 0], data.draw)
        path.write_bytes(content)
        error = refused(read, path, "" if kind == "config.toml" else None)
        found[error is None] += 1

    changed()
    print(f"{kind}: {found[0]} refused, {found[1]} read")
    assert found[0] > sum(found) / 10


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_changed_files(kind, whole, tmp_path):
    run(kind, tmp_path, whole, 100)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_changed_files(kind, whole, tmp_path):
    run(kind, tmp_path, whole, int(os.environ.get("JLSTM_MUTATIONS", "10000")))
