"""Files of torch that are not plain files of a state dict."""

import collections
import json
import os
import re
import struct
import zipfile

import numpy as np
import pytest

import jlstm
from jlstm.interop import from_torch
from jlstm.interop.command import convert
from jlstm.interop.torch import files
from tests.interop.frameworks import assert_same
from tests.interop.test_bad_files import mutated, refused

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")


def as_it_says(refusal, save):
    """Runs what an error says, in which torch.save writes weights.pt; returns its path."""
    call = re.search(r"torch\.save\(torch.*\)", str(refusal.value))[0]
    eval(call, {"torch": torch}, {})
    return save / "weights.pt"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [torch.jit.script, "trace"], ids=["script", "trace"])
def test_programs_of_torchscript(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lstm = torch.nn.LSTM(5, 4)
    made = torch.jit.trace(lstm, torch.zeros(3, 2, 5)) if make == "trace" else make(lstm)
    made.save("a.pt")
    with pytest.raises(ValueError, match=r"a\.pt is a program of TorchScript") as refusal:
        from_torch("a.pt")
    assert_same(from_torch(as_it_says(refusal, tmp_path))[1], from_torch(lstm)[1])
    with pytest.raises(TypeError, match=r"ScriptModule|TracedModule.*pass its state_dict\(\)"):
        from_torch(torch.jit.load("a.pt"))
    assert_same(from_torch(torch.jit.load("a.pt").state_dict())[1], from_torch(lstm)[1])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_safetensors_of_torch(dtype, tmp_path):
    lstm = torch.nn.LSTM(5, 4, 2, bidirectional=True, dtype=getattr(torch, dtype))
    state = {f"encoder.{name}": a for name, a in lstm.state_dict().items()}
    state |= {"ids": torch.arange(3), "low": torch.zeros(3, dtype=torch.float8_e4m3fn)}
    safetensors_torch.save_file(state, tmp_path / "a.safetensors")
    config, params = from_torch(tmp_path / "a.safetensors")
    assert_same(params, from_torch(lstm)[1])
    (tmp_path / "a.safetensors").rename(tmp_path / "A.SAFETENSORS")
    convert(tmp_path / "A.SAFETENSORS", tmp_path / "b.safetensors", "torch", prefix="encoder")
    found = jlstm.load(tmp_path / "b.safetensors")
    assert found[0] == config
    assert_same(found[1], params)


def test_safetensors_there_and_back(tmp_path):
    lstm = torch.nn.LSTM(5, 4)
    safetensors_torch.save_file(lstm.state_dict(), tmp_path / "a.safetensors")
    convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", "torch")
    convert(tmp_path / "b.safetensors", tmp_path / "c.safetensors", to="torch")
    state = safetensors_torch.load_file(tmp_path / "c.safetensors")
    lstm.load_state_dict(state)
    assert_same(from_torch(lstm)[1], jlstm.load(tmp_path / "b.safetensors")[1])


def test_safetensors_of_the_other_kind(tmp_path):
    safetensors_torch.save_file(torch.nn.LSTM(5, 4).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"jlstm did not write it.*from_torch\(path\).*--from tor"):
        convert(tmp_path / "a.safetensors", tmp_path / "b.onnx")
    convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", "torch")
    with pytest.raises(ValueError, match=r"jlstm saved; read it with jlstm\.load.*leave out --fr"):
        convert(tmp_path / "b.safetensors", tmp_path / "c.pt", "torch")


def test_safetensors_that_are_damaged(tmp_path):
    path, draw = tmp_path / "a.safetensors", np.random.default_rng(0)
    safetensors_torch.save_file(torch.nn.LSTM(5, 4).state_dict(), path)
    whole, found = path.read_bytes(), 0
    for _ in range(60):
        path.write_bytes(mutated(whole, draw))
        found += refused(from_torch, path)
    assert found > 6
    huge = {"weight_ih_l0": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 8]}}
    header = json.dumps(huge).encode()
    for content in (
        b"",
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", len(header)) + header + bytes(8),
        struct.pack("<Q", 3 << 20) + b" " * (4 << 20),
    ):
        path.write_bytes(content)
        assert refused(from_torch, path)
    with pytest.raises(ValueError, match=r"cannot read .*missing\.safetensors"):
        from_torch(tmp_path / "missing.safetensors")


class Settings:
    """What a program of Lightning might hold as hyper_parameters."""


HELD = {
    "lightning": (lambda state: {"state_dict": state, "hyper_parameters": Settings()}, "Settings"),
    "module": (lambda _: torch.nn.LSTM(5, 4), r"torch\.nn\.modules\.rnn\.LSTM"),
    "function": (lambda state: {"model": state, "run": exit}, "builtins|_sitebuiltins"),
    "blocked": (lambda state: {"model": state, "run": os.getcwd}, "posix.getcwd"),
}


@pytest.mark.parametrize("kind", HELD)
def test_the_class_of_other_objects_is_named(kind, tmp_path):
    make, named = HELD[kind]
    path, state = tmp_path / "a.pt", torch.nn.LSTM(5, 4).state_dict()
    torch.save(make(state), path)
    with pytest.raises(ValueError, match=f"it holds an object of .*({named})") as refusal:
        from_torch(path)
    held = torch.load(path, weights_only=False)
    for word in ("held = torch.load(path, weights_only=False)", "torch.save(held.state_dict()"):
        assert word in str(refusal.value)
    if kind == "lightning":
        assert 'held["state_dict"]' in str(refusal.value)
        torch.save(held["state_dict"], path)
    elif kind == "module":
        assert "held.state_dict()" in str(refusal.value)
        torch.save(held.state_dict(), path)
    else:
        return
    from_torch(path)


def test_files_of_torch_before_1_6(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lstm = torch.nn.LSTM(5, 4)
    torch.save(lstm.state_dict(), "a.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"torch before 1\.6 wrote it") as refusal:
        from_torch("a.pt")
    assert_same(from_torch(as_it_says(refusal, tmp_path))[1], from_torch(lstm)[1])


def test_what_torch_says_of_a_file_is_passed_on(tmp_path):
    torch.save({"a": torch.zeros(3), "b": 1 + 2j}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as file, zipfile.ZipFile(tmp_path / "b.pt", "w") as to:
        for entry in file.infolist():
            data = file.read(entry)
            if entry.filename.endswith("data.pkl"):
                data = data.replace(b"}", b"\xff", 1)
            to.writestr(entry.filename, data)
    with pytest.raises(ValueError, match=r"newer: its pickle has the instruction 255,"):
        from_torch(tmp_path / "b.pt")


def test_all_kinds_of_tensors_are_as_torch_reads_them(tmp_path):
    """Views, shared and empty storages, parameters, attributes; beside them what is left out."""
    base = torch.arange(24.0).reshape(4, 6)
    marked = torch.ones(2)
    marked.note = "with an attribute"
    kinds = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.uint8]
    kinds += [torch.complex64, torch.float8_e4m3fn, torch.uint16]
    state = {
        "whole": base,
        "part": base[1:, ::2].T,
        "again": [base, (base,)],
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(3.0),
        "parameter": torch.nn.Parameter(base[0]),
        "marked": marked,
        **{str(kind): torch.ones(3).to(kind) for kind in kinds},
    }
    others = {
        "counter": collections.Counter("aab"),
        "others": [{1, 2}, torch.float32, torch.Size([2]), torch.device("cpu"), b"ab", 2j],
        "numbers": [1, -1, 300, 2**40, 2**80, -0.5, None, True, {3: "a", None: 1, 0.5: 2}],
    }
    torch.save(state | others, tmp_path / "a.pt")
    wanted = torch.load(tmp_path / "a.pt", weights_only=True)
    found = files.read(tmp_path / "a.pt")
    assert found.keys() == wanted.keys()
    assert found["numbers"] == wanted["numbers"]
    found["again"], wanted["again"] = found["again"][1][0], wanted["again"][1][0]
    for name in state:
        assert found[name].dtype == wanted[name].dtype
        assert found[name].stride() == wanted[name].stride()
        assert found[name].tolist() == wanted[name].tolist()


def test_files_of_big_endian_machines(tmp_path):
    torch.save(torch.nn.LSTM(5, 4).state_dict(), tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as whole, zipfile.ZipFile(tmp_path / "b.pt", "w") as to:
        for entry in whole.infolist():
            big = entry.filename.endswith("byteorder")
            to.writestr(entry.filename, b"big" if big else whole.read(entry))
    with pytest.raises(ValueError, match=r"b\.pt .* its numbers are big-endian"):
        from_torch(tmp_path / "b.pt")
