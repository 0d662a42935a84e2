"""Equal networks give equal files."""

import json
import os
import pathlib
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest

import jlstm
from jlstm.interop.keras import repeatable

ENDINGS = (".pt", ".pt.safetensors", ".keras", ".weights.h5", ".onnx", ".npz", ".safetensors")
WRITES = """
import pathlib, sys
from jlstm.files.command import write
from jlstm.interop.command import convert

source, *outs = map(pathlib.Path, sys.argv[1:])
for out in outs:
    to = "torch" if out.name.endswith(".pt.safetensors") else None
    convert(source, out, None, to, network_only=True)
write(source, outs[0].with_name("model.jax"))
write(source, outs[0].with_name("bare.jax"), without_params=True, network_only=True)
"""


@pytest.mark.full
def test_two_processes_write_the_same_bytes(tmp_path):
    for name in ("torch", "keras", "onnx", "tensorflow"):
        pytest.importorskip(name)
    config = jlstm.Config.stack(5, [4, 4], bidirectional=True)
    params, written = jlstm.init(jax.random.key(0), config), []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        source = folder / "source.safetensors"
        readout = {"readout.w": np.ones((8, 3), "float32"), "readout.b": np.zeros(3, "float32")}
        jlstm.save(source, config, params, extra=readout)
        outs = [folder / f"model{ending}" for ending in ENDINGS]
        command = [sys.executable, "-c", WRITES, str(source), *map(str, outs)]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert len(written[0]) == len(ENDINGS) + 3
    different = [name for name, content in written[0].items() if content != written[1][name]]
    assert different == []


def test_archives_of_keras_keep_what_objects_share(tmp_path):
    def saved(name: str, date: str, ids: list[int]) -> pathlib.Path:
        config = {"layers": [{"shared_object_id": n} for n in ids], "name": None}
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("metadata.json", json.dumps({"keras_version": "3", "date_saved": date}))
            file.writestr("config.json", json.dumps(config))
            file.writestr(zipfile.ZipInfo("model.weights.h5", (2001, 2, 3, 4, 5, 6)), b"weights")
        repeatable.rewrite(tmp_path / name)
        return tmp_path / name

    one = saved("one", "2026-01-02@03:04:05", [900, 70, 900])
    two = saved("two", "2027-01-02@03:04:05", [11, 1234, 11])
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as file:
        config = json.loads(file.read("config.json"))
        assert [layer["shared_object_id"] for layer in config["layers"]] == [1, 2, 1]
        assert file.read("model.weights.h5") == b"weights"


def test_weights_are_kept_of_an_archive_of_keras(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as file:
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", b"weights")
    repeatable.keep_weights(tmp_path / "model.keras")
    assert (tmp_path / "model.keras").read_bytes() == b"weights"
