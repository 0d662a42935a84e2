"""Files whose name says something else than their bytes, and files that are no model at all."""

import io
import os
import zipfile

import jax
import numpy as np
import pytest
import torch

import jlstm
from jlstm.files import contents
from jlstm.interop import from_keras, from_onnx, from_tensorflow, from_torch
from jlstm.interop.command import convert

h5py = pytest.importorskip("h5py")
pytest.importorskip("onnx")

CONFIG = jlstm.Config.stack(3, [4])
READERS = {
    ".safetensors": jlstm.load,
    ".pt": from_torch,
    ".keras": from_keras,
    ".onnx": from_onnx,
    ".npz": from_tensorflow,
    ".index": from_tensorflow,
}
OTHERS = {
    "empty": (b"", "it is empty"),
    "text": ("Wörter\n".encode() * 100, "it is a text file"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "web page": (b"\n<!DOCTYPE html><html>", "it is a web page; download the file itself"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "unpack it first"),
    "pickle": (b"\x80\x04\x95" + bytes(20), "it is a pickle, which is a program"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each kind that is read, by its kind."""
    folder = tmp_path_factory.mktemp("files")
    params = jlstm.init(jax.random.key(0), CONFIG)
    jlstm.save(folder / "safetensors", CONFIG, params)
    torch.save(torch.nn.LSTM(3, 4).state_dict(), folder / "torch")
    with h5py.File(folder / "hdf5", "w"):
        pass
    for name, ending, kind in (("npz", ".npz", "tensorflow"), ("onnx", ".onnx", "onnx")):
        convert(folder / "safetensors", folder / f"a{ending}", "jlstm", kind)
        (folder / f"a{ending}").rename(folder / name)
    return {name: folder / name for name in ("safetensors", "torch", "hdf5", "npz", "onnx")}


def test_kinds_are_told_by_bytes(files, tmp_path):
    for name, path in files.items():
        assert contents.kind(path) == name
    for name, (content, _) in OTHERS.items():
        (tmp_path / "a").write_bytes(content)
        assert contents.kind(tmp_path / "a") == name
    assert contents.kind(tmp_path) is None and contents.kind(tmp_path / "missing") is None


@pytest.mark.parametrize("length", [0x80 + 0x100 * 4, 0x8B1F])
def test_the_length_of_a_header_may_look_like_another_kind(length, tmp_path):
    (tmp_path / "a").write_bytes(length.to_bytes(8, "little") + b"{}".ljust(length))
    assert contents.kind(tmp_path / "a") == "safetensors"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_archives_are_told_by_their_first_entry(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:  # as Keras 3 orders them
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    assert contents.kind(tmp_path / "a.keras") == "keras"
    torch.jit.save(torch.jit.script(torch.nn.LSTM(3, 4)), tmp_path / "a.pt")
    assert contents.kind(tmp_path / "a.pt") == "torch"
    old = io.BytesIO()
    torch.save({"a": torch.ones(3)}, old, _use_new_zipfile_serialization=False)
    (tmp_path / "b.pt").write_bytes(old.getvalue())
    assert contents.kind(tmp_path / "b.pt") == "torch"
    np.savez(tmp_path / "c.npz", np.ones(3))
    assert contents.kind(tmp_path / "c.npz") == "npz"


@pytest.mark.parametrize("ending", READERS)
def test_a_wrong_name_is_said_with_what_the_file_is(ending, files, tmp_path):
    named = {"safetensors": ".safetensors", "torch": ".pt", "hdf5": ".h5"}
    named |= {"npz": ".npz", "onnx": ".onnx"}
    path = tmp_path / f"a{ending}"
    for kind, file in files.items():
        if named[kind] == ending or (kind == "hdf5" and ending == ".keras"):
            continue
        path.write_bytes(file.read_bytes())
        with pytest.raises(ValueError) as caught:
            READERS[ending](path)
        said = str(caught.value)
        assert said.startswith(f"{path} is not ") and contents.KINDS[kind][0] in said
        assert said.endswith(f"without --from if its name ends in {named[kind]}")
    for content, words in OTHERS.values():
        path.write_bytes(content)
        with pytest.raises(ValueError) as caught:
            READERS[ending](path)
        assert str(caught.value).startswith(f"{path} is not ") and words in str(caught.value)


def test_a_right_name_with_another_reader_is_not_to_be_changed(files, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(files["torch"].read_bytes())
    with pytest.raises(ValueError, match=r"it is a file of torch\.save, which .* without --from$"):
        jlstm.load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
@pytest.mark.parametrize("ending", [e for e in READERS if e != ".index"])
def test_pipes_are_refused_not_waited_for(ending, tmp_path):
    os.mkfifo(path := tmp_path / f"a{ending}")
    with pytest.raises(ValueError, match="a pipe or a device"):
        READERS[ending](path)
