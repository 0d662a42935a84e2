"""Files that are cut off, changed, of something else, or made to do harm: clear errors alone."""

import json
import os
import pathlib
import pickle
import struct

import numpy as np
import pytest

import jlstm
from jlstm.interop import from_keras, from_onnx, from_tensorflow, from_torch
from jlstm.interop.command import convert

for _name in ("torch", "keras", "onnx", "tensorflow", "tf_keras"):
    pytest.importorskip(_name)

pytestmark = pytest.mark.filterwarnings("ignore")

READERS = {
    ".safetensors": jlstm.load,
    ".pt": from_torch,
    ".keras": from_keras,
    ".weights.h5": from_keras,
    ".h5": from_keras,
    ".onnx": from_onnx,
    ".index": from_tensorflow,
    ".npz": from_tensorflow,
}
KINDS = list(READERS)


def checkpoint(path):
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for name, shape in (("kernel", (9, 16)), ("bias", (16,))):
            v1.get_variable(f"rnn/lstm_cell/{name}", shape)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(path))


def content(whole, kind):
    return bytearray((whole / f"a{kind}").read_bytes())


def mutated(data, draw):
    """The data with one thing or several changed, mostly near its ends, where headers stand."""
    data = bytearray(data)
    for _ in range(draw.integers(1, 4)):
        if not data:
            break
        near = int(min(len(data), draw.choice([64, 512, len(data)])))
        at = (
            int(draw.integers(near))
            if draw.random() < 0.6
            else len(data) - 1 - int(draw.integers(near))
        )
        match int(draw.integers(6)):
            case 0:
                data[at] ^= 1 << int(draw.integers(8))
            case 1:
                del data[at:]
            case 2:
                size = int(draw.choice([1, 2, 4, 8]))
                data[at : at + size] = bytes([int(draw.choice([0, 255, 127]))]) * size
            case 3:
                del data[at : at + int(draw.integers(1, 32))]
            case 4:
                data[at:at] = bytes(draw.integers(0, 256, int(draw.integers(1, 32)), dtype="uint8"))
            case 5:
                data[at] = int(draw.integers(256))
    return bytes(data)


def refused(read, path):
    """Reads a file that may be broken, in 200 MB; True if it was refused in words."""
    before, held = set(path.parent.iterdir()), peak_memory(anew=True)
    try:
        read(path)
    except (ValueError, TypeError) as error:
        assert len(str(error)) > 10
        return True
    finally:
        assert set(path.parent.iterdir()) == before
        assert peak_memory() - held < 200_000_000
    return False


def peak_memory(anew=False):
    """Bytes that this process held at most, since it was last asked to begin anew."""
    if anew:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def try_mutations(whole, kind, folder, count):
    draw = np.random.default_rng(0)
    data = content(whole, kind)
    if kind == ".index":
        (folder / "a.data-00000-of-00001").write_bytes(
            (whole / "a.data-00000-of-00001").read_bytes()
        )
    path = folder / f"a{kind}"
    found = 0
    for _ in range(count):
        path.write_bytes(mutated(data, draw))
        found += refused(READERS[kind], path)
    assert found > count / 10


@pytest.mark.parametrize("kind", KINDS)
def test_changed_files(kind, whole, tmp_path):
    try_mutations(whole, kind, tmp_path, 60)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_files_that_are_cut_off(kind, part, whole, tmp_path):
    data = content(whole, kind)
    path = tmp_path / f"a{kind}"
    path.write_bytes(data[: int(len(data) * part)])
    assert refused(READERS[kind], path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_files_of_other_kinds(kind, other, whole, tmp_path):
    if kind == other or READERS[kind] is READERS[other] is from_keras:
        pytest.skip("the same kind")
    path = tmp_path / f"a{kind}"
    path.write_bytes(content(whole, other))
    assert refused(READERS[kind], path)


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_not_there(kind, tmp_path):
    with pytest.raises(ValueError, match="cannot read"):
        READERS[kind](tmp_path / f"missing{kind}")


def varint(value):
    made = b""
    while value > 127:
        made, value = made + bytes([value & 127 | 128]), value >> 7
    return made + bytes([value])


def masked(data):
    """The checksum that LevelDB keeps."""
    import google_crc32c

    value = google_crc32c.value(data)
    return struct.pack("<I", (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


class Harm:
    """What pickle would run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_not_run(tmp_path):
    import torch

    harm = tmp_path / "harm"
    torch.save({"weight_ih_l0": Harm(harm)}, tmp_path / "a.pt")
    assert refused(from_torch, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Harm(harm)))
    assert refused(from_torch, tmp_path / "b.pt")
    kernel, bias = np.array([Harm(harm)], dtype=object), np.zeros(16)
    np.savez(tmp_path / "a.npz", **{"lstm_cell/kernel": kernel, "lstm_cell/bias": bias})
    with pytest.raises(ValueError, match="damaged or not"):
        convert(tmp_path / "a.npz", tmp_path / "b.safetensors")
    assert not harm.exists()


def places(tree, path=()):
    yield path
    if isinstance(tree, (dict, list)):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield from places(tree[key], (*path, key))


def odd_onnx(data, draw):
    """A model that is well-formed, but for a few values in it."""
    import onnx

    model = onnx.ModelProto.FromString(bytes(data))
    numbers = (-1, 0, 1, 2, 3, 5, 99, 2**31 - 1, 2**62, -(2**62))
    texts = ("", "a", "foo", "Y0", "W0", "xs", "LSTM", "Transpose", "\x1b[31m\n", "x" * 10_000)

    def any_of(values):
        return values[int(draw.integers(len(values)))]

    for _ in range(draw.integers(1, 4)):
        node, tensor = any_of(model.graph.node), any_of(model.graph.initializer)
        attribute = any_of(node.attribute) if node.attribute else node.attribute.add(name="axis")
        match int(draw.integers(8)):
            case 0:
                attribute.i, attribute.f = any_of(numbers), any_of((-1.0, np.nan, np.inf))
                attribute.type = any_of(range(15))
            case 1:
                attribute.s = any_of(texts).encode() + any_of((b"", b"\xff"))
                attribute.ints[:] = [any_of(numbers) for _ in range(draw.integers(5))]
            case 2:
                attribute.name = any_of(texts)
            case 3:
                names = any_of((node.input, node.output))
                names[:] = [any_of(texts) if draw.random() < 0.3 else name for name in names]
            case 4:
                names = any_of((node.input, node.output, node.attribute))
                del names[int(draw.integers(len(names) + 1)) :]
            case 5:
                node.op_type = any_of(texts)
            case 6 if tensor.dims:
                tensor.dims[int(draw.integers(len(tensor.dims)))] = any_of(numbers)
            case 7:
                tensor.data_type = any_of(range(30))
    return model.SerializeToString()


def test_a_header_larger_than_its_file(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    assert refused(jlstm.load, tmp_path / "a.safetensors")
    header = json.dumps(
        {"layers.0.w_x": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 8]}}
    ).encode()
    (tmp_path / "b.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert refused(jlstm.load, tmp_path / "b.safetensors")
