"""Names in files that are not trusted: what the command line prints of them fits on a screen."""

import io
import json
import sys
import zipfile

import h5py
import jax
import numpy as np
import onnx
import pytest
import safetensors.torch
import torch

import jlstm
from jlstm import cli
from jlstm.interop import to_onnx

NAME = "na\x1b[31m\n\r\u202e\u00e9" + "b" * 100_000 + "\u2066\x9b"
CONFIG = jlstm.Config.stack(3, [4])
PARAMS = jlstm.init(jax.random.key(0), CONFIG)
WEIGHTS = {"kernel": np.ones((7, 16), "float32"), "bias": np.ones(16, "float32")}


def ours(path):
    jlstm.save(path, CONFIG, PARAMS, extra={NAME: np.ones(3)})


def of_torch(path):
    state = torch.nn.LSTM(3, 4).state_dict()
    torch.save({f"{p}.{k}": v for p in (NAME, "o") for k, v in state.items()}, path)


def safetensors_of_torch(path):
    safetensors.torch.save_file({NAME: torch.ones(3)}, path)


def npz(path):
    with zipfile.ZipFile(path, "w") as archive:
        for scope in (NAME[:30_000], "o"):
            for name, array in WEIGHTS.items():
                content = io.BytesIO()
                np.save(content, array)
                archive.writestr(f"{scope}/lstm_cell/{name}.npy", content.getvalue())


def hdf5(path):
    with h5py.File(path, "w") as file:
        for layer in (NAME[:60_000], "o"):
            group = file.create_group(f"layers/{layer}/cell/vars")
            for n, shape in enumerate(((3, 16), (4, 16), (16,))):
                group[str(n)] = np.ones(shape, "float32")


def keras(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": NAME}))
        archive.writestr("config.json", json.dumps({"class_name": NAME + "\ud800", "config": {}}))
        archive.writestr("model.weights.h5", b"")


def nodes(path):
    model = to_onnx(CONFIG, PARAMS)
    node = next(n for n in model.graph.node if n.op_type == "LSTM")
    relu = onnx.helper.make_node(NAME, [node.output[0]], [NAME], name=NAME)
    model.graph.node.append(relu)
    node.name = NAME
    path.write_bytes(model.SerializeToString())


def toml(text):
    def write(path):
        path.write_text(text.replace("NAME", json.dumps(NAME)), encoding="utf-8")

    return write


def records(path):
    path.write_text(json.dumps(dict.fromkeys(("case", "contender", "mode"), NAME)) + "\n")


NETWORK = "[network]\ninput_size = 8\n[[network.layers]]\nhidden_size = 4\n"
RUN = "[train]\ntask = 'digits'\nout = 'x'\n"
FILES = {
    "ours": (ours, "convert m.safetensors x.npz"),
    "ours, copied": (ours, "convert m.safetensors x.safetensors"),
    "ours, exported": (ours, "export m.safetensors x.jax"),
    "torch": (of_torch, "convert m.pt x.npz"),
    "torch, safetensors": (safetensors_of_torch, "convert m.safetensors x.npz --from torch"),
    "npz": (npz, "convert m.npz x.onnx"),
    "hdf5": (hdf5, "convert m.weights.h5 x.npz"),
    "hdf5, chosen": (hdf5, "convert m.weights.h5 x.npz --layer zz"),
    "keras": (keras, "convert m.keras x.npz"),
    "onnx": (nodes, "convert m.onnx x.npz"),
    "onnx, chosen": (nodes, "convert m.onnx x.npz --node zz"),
    "key": (toml("NAME = 1"), "train m.toml"),
    "key of a network": (toml("[network]\nNAME = 1\n" + RUN), "train m.toml"),
    "key of a suite": (toml("[[case]]\nname = 'a'\nNAME = 1"), "bench m.toml"),
    "case": (toml("[[case]]\nname = NAME\ninput_size = 8\nhidden_size = 4"), "bench m.toml"),
    "value": (toml(NETWORK + "activation = NAME\n" + RUN), "train m.toml"),
    "value of a run": (toml(NETWORK + RUN.replace("'digits'", "NAME")), "train m.toml"),
    "list": (toml("case = [" + "NAME, " * 9 + "]"), "bench m.toml"),
    "heading twice": (toml("[NAME]\n[NAME]"), "train m.toml"),
    "records": (records, "report m.jsonl"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_printed_of_a_file_names_it_fits_and_holds_nothing_for_the_terminal(
    name, tmp_path, monkeypatch, capsys
):
    write, line = FILES[name]
    words = line.split()
    monkeypatch.chdir(tmp_path)
    write(tmp_path / words[1])
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["jlstm", *words])
    code = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code in (0, 2) and err.count("\n") == (code == 2)
    assert words[1] in out + err
    for printed in (out + err).splitlines():
        assert printed.isprintable() and len(printed) < 1_700
    assert "TRACEBACK" not in err
