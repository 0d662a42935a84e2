"""Files that are cut off, changed, of something else, or made to do harm: clear errors alone."""

import io
import json
import os
import pathlib
import pickle
import struct
import time
import zipfile

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Config
from jlstm.interop import from_keras, from_onnx, from_tensorflow, from_torch, to_keras
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A whole file of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    config = Config.stack(5, [4, 3])
    jlstm.save(folder / "a.safetensors", config, jlstm.init(jax.random.key(0), config))
    config = Config.stack(5, [4, 4])
    jlstm.save(folder / "b.safetensors", config, jlstm.init(jax.random.key(0), config))
    for kind in (".pt", ".keras", ".weights.h5", ".onnx", ".npz"):
        convert(folder / "b.safetensors", folder / f"a{kind}")
    to_keras(*jlstm.load(folder / "b.safetensors")).save(folder / "a.h5")
    checkpoint(folder / "a")
    return folder


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


def test_an_empty_onnx_file_is_called_empty(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.onnx is not a whole ONNX model: it is empty"):
        from_onnx(tmp_path / "a.onnx")


def test_archives_of_arrays_that_claim_much_or_hold_other_things(tmp_path):
    name = "rnn/lstm_cell/kernel"
    np.savez_compressed(tmp_path / "bomb.npz", **{name: np.zeros((5_000, 15_000), "float32")})
    zeros = np.zeros((512, 1024), "float32")
    cell = {"kernel": zeros, "bias": zeros[0]}
    many = {f"cell_{n}/lstm_cell/{last}": a for n in range(200) for last, a in cell.items()}
    np.savez_compressed(tmp_path / "many.npz", **many)
    np.savez(tmp_path / "objects.npz", **{name: np.array([{}], dtype=object)})
    with zipfile.ZipFile(tmp_path / "absurd.npz", "w") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)}
        raw = io.BytesIO()
        np.lib.format.write_array_header_1_0(raw, header)
        file.writestr(f"{name}.npy", raw.getvalue() + bytes(16))
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as file:
        file.writestr(f"{name}.npy", b"cos\nsystem\n(S'true'\ntR.")
    np.save(tmp_path / "array.npy", np.zeros((9, 16), "float32"))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({name: 1}))
    for file in sorted(tmp_path.iterdir()):
        start = time.process_time()
        assert refused(from_tensorflow, file), file
        assert time.process_time() - start < 1


def test_other_arrays_of_an_archive_are_not_read(tmp_path):
    kernel, bias = np.ones((9, 16), "float32"), np.ones(16, "float32")
    odd = {"embedding": np.array([{}], dtype=object)}
    own = {"rnn/lstm_cell/kernel": kernel, "rnn/lstm_cell/bias": bias}
    np.savez(tmp_path / "a.npz", **own, **odd)
    assert from_tensorflow(tmp_path / "a.npz")[0] == Config.stack(5, [4])


def test_an_index_whose_names_grow_is_refused(whole, tmp_path):
    """Each name is the one before and a byte more, as names that share their beginning are kept."""
    names = b"".join(
        varint(max(n - 1, 0)) + varint(1) + varint(0) + b"a" for n in range(1, 100_000)
    )
    block = names + struct.pack("<II", 0, 1)
    index = block + b"\0" + masked(block + b"\0")
    handle = varint(0) + varint(len(block))
    listing = varint(0) + varint(1) + varint(len(handle)) + b"z" + handle + struct.pack("<II", 0, 1)
    at = len(index)
    index += listing + b"\0" + masked(listing + b"\0")
    footer = varint(0) + varint(0) + varint(at) + varint(len(listing))
    index += footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")
    (tmp_path / "a.index").write_bytes(index)
    start = time.process_time()
    with pytest.raises(ValueError, match="has a name of 4097 bytes"):
        from_tensorflow(tmp_path / "a")
    assert time.process_time() - start < 1


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


def test_a_changed_weight_of_a_checkpoint_is_noticed(whole, tmp_path):
    for end in (".index", ".data-00000-of-00001"):
        (tmp_path / f"a{end}").write_bytes((whole / f"a{end}").read_bytes())
    from_tensorflow(tmp_path / "a")
    data = bytearray((tmp_path / "a.data-00000-of-00001").read_bytes())
    data[100] ^= 1
    (tmp_path / "a.data-00000-of-00001").write_bytes(data)
    with pytest.raises(ValueError, match="the checksum of rnn/lstm_cell/"):
        from_tensorflow(tmp_path / "a")


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


def test_keras_files_with_code_in_them(whole, tmp_path):
    import keras

    model = keras.Sequential([keras.Input((None, 5)), keras.layers.Lambda(lambda x: x)])
    model.save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="is a Lambda, not an LSTM"):
        from_keras(tmp_path / "a.keras")
    with zipfile.ZipFile(whole / "a.keras") as file:
        config = json.loads(file.read("config.json"))
        weights = file.read("model.weights.h5")
    config["config"]["layers"][1]["module"] = "os"
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as file:
        file.writestr("config.json", json.dumps(config))
        file.writestr("model.weights.h5", weights)
    with pytest.raises(ValueError, match="expected a layer of Keras"):
        from_keras(tmp_path / "b.keras")


def test_archives_that_would_unpack_to_much(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", bytes(100_000_000))
    with pytest.raises(ValueError, match="would unpack to 100000000 bytes"):
        from_keras(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "b.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", " " * 100_000_000)
        file.writestr("model.weights.h5", b"")
    with pytest.raises(ValueError, match="larger than Keras writes"):
        from_keras(tmp_path / "b.keras")


def test_h5_files_that_point_elsewhere_or_claim_much(tmp_path):
    import h5py

    for name in ("link", "external", "absurd"):
        with h5py.File(tmp_path / f"{name}.weights.h5", "w") as file:
            group = file.create_group("layers/lstm/cell/vars")
            group["1"], group["2"] = np.ones((5, 20), "float32"), np.ones(20, "float32")
            if name == "link":
                group["0"] = h5py.ExternalLink("/etc/passwd", "/")
            elif name == "external":
                (tmp_path / "raw").write_bytes(bytes(400))
                group.create_dataset(
                    "0", (5, 20), "float32", external=[(str(tmp_path / "raw"), 0, 400)]
                )
            else:
                group.create_dataset("0", (10**10, 20), "float32", chunks=(1000, 20))
        words = {"absurd": "but the file holds only 0 bytes of it"}.get(name, "not followed")
        with pytest.raises(ValueError, match=words):
            from_keras(tmp_path / f"{name}.weights.h5")


def test_onnx_models_that_point_elsewhere_or_claim_much(whole, tmp_path):
    import onnx

    (tmp_path / "secret").write_bytes(bytes(10_000))
    (tmp_path / "models").mkdir()
    for place in ("../secret", "/etc/passwd", str(tmp_path / "secret")):
        model = onnx.load(whole / "a.onnx")
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)
        (tmp_path / "models" / "a.onnx").write_bytes(model.SerializeToString())
        assert refused(from_onnx, tmp_path / "models" / "a.onnx")
    model = onnx.load(whole / "a.onnx")
    model.graph.initializer[0].dims[2] = 10**12
    (tmp_path / "b.onnx").write_bytes(model.SerializeToString())
    assert refused(from_onnx, tmp_path / "b.onnx")


@pytest.mark.parametrize("beside", [False, True])
def test_onnx_models_whose_lstms_share_what_is_there(beside, tmp_path):
    """Many LSTMs have the same arrays, or arrays of their own in the same bytes of a file."""
    import onnx
    from onnx import helper

    units, path = 500, tmp_path / "a.onnx"
    w = onnx.numpy_helper.from_array(np.zeros((1, 4 * units, units), "float32"), "w")
    axis = onnx.numpy_helper.from_array(np.array([1]), "axis")
    if beside:
        (tmp_path / "raw").write_bytes(w.raw_data)
        w.ClearField("raw_data")
        w.data_location = onnx.TensorProto.EXTERNAL
        w.external_data.add(key="location", value="raw")
    for count in (4, 40):
        names = [f"w{n}" if beside else "w" for n in range(count)]
        nodes, arrays = [], [axis]
        for n, name in enumerate(names):
            inputs = [f"xs{n}", name, name]
            nodes.append(helper.make_node("LSTM", inputs, [f"Y{n}"], hidden_size=units))
            nodes.append(helper.make_node("Squeeze", [f"Y{n}", "axis"], [f"xs{n + 1}"]))
            if beside or n == 0:
                arrays.append(onnx.TensorProto.FromString(w.SerializeToString()))
                arrays[-1].name = name
        graph = helper.make_graph(nodes, "g", [], [], arrays)
        path.write_bytes(helper.make_model(graph).SerializeToString())
        if count == 4:
            assert len(from_onnx(path)[0].layers) == 4
    start = time.process_time()
    assert refused(from_onnx, path)
    assert time.process_time() - start < 1
    with pytest.raises(ValueError, match=r"share take .* store a separate array for each LSTM"):
        from_onnx(path)


def test_groups_that_are_there_under_many_names(tmp_path):
    """Each level has the next one twice, so that a walk over all names would never end."""
    import h5py

    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        below = file.create_group("layers/lstm")
        for _ in range(60):
            following = below.create_group("a")
            below["b"] = following
            below = following
        below.create_dataset("0", data=np.zeros((9, 16), "float32"))
    start = time.process_time()
    assert refused(from_keras, tmp_path / "a.weights.h5")
    assert time.process_time() - start < 1


def test_tuples_that_are_there_many_times(tmp_path):
    import torch

    shared: object = torch.zeros(3)
    for _ in range(60):
        shared = (shared, shared)
    torch.save({"weight_ih_l0": shared}, tmp_path / "a.pt")
    start = time.process_time()
    assert refused(from_torch, tmp_path / "a.pt")
    assert time.process_time() - start < 1


def odd_values(draw):
    """Something well formed that has no place in a config."""
    values = [None, -1, 0, 10**30, 1.5, "", "x" * 50, [], {}, [[]], {"a": 1}, True, float("nan")]
    return values[int(draw.integers(len(values)))]


def places(tree, path=()):
    yield path
    if isinstance(tree, (dict, list)):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield from places(tree[key], (*path, key))


def test_keras_configs_with_odd_values(whole, tmp_path):
    with zipfile.ZipFile(whole / "a.keras") as file:
        text, weights = file.read("config.json"), file.read("model.weights.h5")
    draw = np.random.default_rng(0)
    every = [path for path in places(json.loads(text)) if path]
    found = 0
    for path in every:
        config = json.loads(text)
        inner = config
        for key in path[:-1]:
            inner = inner[key]
        if draw.random() < 0.3 and isinstance(inner, dict):
            del inner[path[-1]]
        else:
            inner[path[-1]] = odd_values(draw)
        with zipfile.ZipFile(tmp_path / "a.keras", "w") as file:
            file.writestr("config.json", json.dumps(config))
            file.writestr("model.weights.h5", weights)
        found += refused(from_keras, tmp_path / "a.keras")
    assert found > len(every) / 10


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


def test_onnx_models_of_odd_values(whole, tmp_path):
    draw, found = np.random.default_rng(0), 0
    data, path = content(whole, ".onnx"), tmp_path / "a.onnx"
    for _ in range(120):
        path.write_bytes(odd_onnx(data, draw))
        try:
            found += refused(from_onnx, path)
            from_onnx(path)
        except ValueError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 1000
    assert found > 40


def test_onnx_files_of_many_small_parts_are_refused_at_once(tmp_path):
    from jlstm.interop.protobuf import as_bytes

    graph = 7
    for data in (
        bytes(8_000_000),
        b"\x08\x00" * 4_000_000,
        b"\xff" * 8_000_000,
        as_bytes(graph, b"\x0a\x00" * 500_000),
        as_bytes(graph, as_bytes(1, b"\x0a\x01a" * 500_000)),
        as_bytes(graph, as_bytes(5, b"\x08\x01" * 4_000_000)),
    ):
        (tmp_path / "a.onnx").write_bytes(data)
        began = time.perf_counter()
        assert refused(from_onnx, tmp_path / "a.onnx")
        assert time.perf_counter() - began < 4


def test_a_header_larger_than_its_file(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    assert refused(jlstm.load, tmp_path / "a.safetensors")
    header = json.dumps(
        {"layers.0.w_x": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 8]}}
    ).encode()
    (tmp_path / "b.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert refused(jlstm.load, tmp_path / "b.safetensors")


def test_a_torch_archive_that_claims_much(tmp_path):
    import torch

    file = io.BytesIO()
    torch.save(torch.nn.LSTM(5, 4).state_dict(), file)
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(tmp_path / "a.pt", "w") as changed:
        for entry in archive.infolist():
            data = archive.read(entry)
            if "/data/" in entry.filename:
                data = data[:8]
            changed.writestr(entry.filename, data)
    assert refused(from_torch, tmp_path / "a.pt")
