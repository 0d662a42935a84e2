"""Small files that would become large in memory: refused in about a second and 200 MB."""

import io
import json
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest

from jlstm.interop import from_keras, from_torch
from tests.examples import mostly_full
from tests.interop.test_bad_files import refused

h5py = pytest.importorskip("h5py")


def assert_refused_at_once(read, path):
    began = time.process_time()
    assert refused(read, path)
    assert time.process_time() - began < 2


def torch_archive(path, pickled, how=zipfile.ZIP_STORED):
    """An archive as of torch, in which something else is pickled."""
    torch = pytest.importorskip("torch")
    whole = io.BytesIO()
    torch.save({}, whole)
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(path, "w", how) as made:
        for entry in archive.infolist():
            data = pickled if entry.filename.endswith("/data.pkl") else archive.read(entry)
            made.writestr(entry.filename, data)


LISTS = b"\x80\x02](" + b"]" * 3_000_000 + b"e."
TEXT = 250_000_000


@pytest.mark.parametrize(
    ("pickled", "how"),
    [
        (lambda: bytes(TEXT), zipfile.ZIP_DEFLATED),
        (lambda: b"\x80\x02X" + struct.pack("<I", TEXT) + b"a" * TEXT + b".", zipfile.ZIP_DEFLATED),
        (lambda: LISTS, zipfile.ZIP_DEFLATED),
        (lambda: LISTS, zipfile.ZIP_STORED),
    ],
    ids=["zeros", "string", "lists", "lists as they are"],
)
def test_torch_archives_of_much_besides_tensors(pickled, how, tmp_path):
    torch_archive(tmp_path / "a.pt", pickled(), how)
    assert_refused_at_once(from_torch, tmp_path / "a.pt")


@pytest.mark.parametrize("way", ["expanded", "shared"])
def test_torch_tensors_larger_than_their_file(way, tmp_path):
    torch = pytest.importorskip("torch")
    if way == "expanded":
        zero = torch.zeros(1)
        state = {"weight_ih_l0": zero.expand(40_000, 10_000)}
        state["weight_hh_l0"] = zero.expand(40_000, 10_000)
    else:
        one = torch.nn.LSTM(500, 500).state_dict()
        state = {name[:-1] + str(n): a for n in range(100) for name, a in one.items()}
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"weights would take .* save a clone"):
        from_torch(tmp_path / "a.pt")
    assert_refused_at_once(from_torch, tmp_path / "a.pt")


def keras_archive(path, config, weights=b"", how=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", how) as file:
        file.writestr("config.json", config)
        file.writestr("model.weights.h5", weights)


def compressed(path):
    """A .weights.h5 file of one LSTM whose 256 MB are all zeros."""
    packed = zlib.compress(bytes(500 * 16_000 * 4), 1)
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/lstm/cell/vars")
        group["0"] = np.zeros((1, 16_000), "float32")
        options = {"chunks": (500, 16_000), "compression": "gzip"}
        large = group.create_dataset("1", (4_000, 16_000), "float32", **options)
        for row in range(0, 4_000, 500):
            large.id.write_direct_chunk((row, 0), packed)


@pytest.mark.parametrize("how", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_keras_arrays_that_are_compressed(how, tmp_path):
    path = tmp_path / "a.weights.h5"
    compressed(path)
    if how is not None:
        serialized = {"class_name": "LSTM", "config": {"units": 4_000, "use_bias": False}}
        keras_archive(tmp_path / "a.keras", json.dumps(serialized), path.read_bytes(), how)
        path = tmp_path / "a.keras"
    assert_refused_at_once(from_keras, path)


def layers(serialized, count):
    text = ", ".join([json.dumps(serialized)] * count)
    return f'{{"class_name": "Sequential", "config": {{"layers": [{text}]}}}}'


@pytest.mark.parametrize(
    "config",
    [
        lambda: "[" + "[]," * 5_000_000 + "[]]",
        lambda: layers({"class_name": "Dropout", "config": {}}, 300_000),
        lambda: layers({"class_name": "LSTM", "config": {"units": 1}}, 100_000),
        lambda: "[" + "[]," * 300_000 + "[]]",
        lambda: layers({"class_name": "Dropout", "config": {}}, 20_000),
        lambda: layers({"class_name": "LSTM", "config": {"units": 1}}, 15_000),
        lambda: layers({"class_name": "LSTM", "config": {"units": 10**9}}, 1),
    ],
    ids=["lists", "dropouts", "lstms", "lists-", "dropouts-", "lstms-", "units"],
)
def test_keras_configs_of_many_parts(config, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        variables = file.create_group("layers/lstm/cell/vars")
        for name, shape in (("0", (1, 4)), ("1", (1, 4)), ("2", (4,))):
            variables[name] = np.ones(shape, "float32")
    weights = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").unlink()
    keras_archive(tmp_path / "a.keras", config(), weights, zipfile.ZIP_DEFLATED)
    assert_refused_at_once(from_keras, tmp_path / "a.keras")


PLACES = ["layers/lstm{}/cell/vars/0", "layers/lstm/{}", "a{}"]


@pytest.mark.parametrize("place", mostly_full(PLACES, ["a{}"]))
def test_keras_files_of_many_arrays(place, tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.create_group("layers")
        for n in range(20_000):
            file[place.format(n)] = np.ones(1, "float32")
    with pytest.raises(ValueError, match="5000"):
        from_keras(tmp_path / "a.weights.h5")
    assert_refused_at_once(from_keras, tmp_path / "a.weights.h5")


def test_arrays_of_keras_do_not_need_a_file_each(tmp_path):
    resource = pytest.importorskip("resource")
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        for n in range(300):
            variables = file.create_group(f"layers/lstm{f'_{n}' if n else ''}/cell/vars")
            for name, shape in (("0", (4, 16)), ("1", (4, 16)), ("2", (16,))):
                variables[name] = np.ones(shape, "float32")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        assert len(from_keras(tmp_path / "a.weights.h5")[0].layers) == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
