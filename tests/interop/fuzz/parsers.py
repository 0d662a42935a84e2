"""Whether a changed file still has the syntax of its kind, by other readers of it."""

import gzip
import json
import tomllib
import zipfile

from tests.interop.fuzz import mutations


def parses(path):
    """Whether a file has the syntax of its kind, by other readers of it."""
    try:
        PARSERS[path.suffix](path)
    except Exception:  # these readers raise many
        return False
    return True


def _safetensors(path):
    import safetensors

    with safetensors.safe_open(path, "numpy"):
        pass


def _archive(path):
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None


def _hdf5(path):
    import h5py

    with h5py.File(path) as file:
        file.visit(lambda name: None)


def _onnx(path):
    import onnx

    onnx.ModelProto.FromString(path.read_bytes())


def _table(path):
    mutations.records(path.read_bytes())


def _toml(path):
    tomllib.loads(path.read_text())


def _lines(path):
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    for line in data.splitlines():
        json.loads(line)


PARSERS = {
    ".safetensors": _safetensors,
    ".pt": _archive,
    ".bin": _archive,
    ".keras": _archive,
    ".npz": _archive,
    ".h5": _hdf5,
    ".onnx": _onnx,
    ".index": _table,
    ".ckpt": _table,
    ".toml": _toml,
    ".jsonl": _lines,
    ".gz": _lines,
}
