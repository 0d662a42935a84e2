"""Small archives of Keras and NumPy that would become large, or are packed in other ways."""

import functools
import io
import json
import struct
import warnings
import zipfile

import numpy as np

from tests.interop.fuzz.crafted_torch import entries

NAME = "rnn/lstm_cell/kernel"
UNITS = 4


def weights(units=UNITS, inputs=5):
    """The weights of one LSTM, as Keras writes them."""
    import h5py

    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        group = file.create_group("layers/lstm/cell/vars")
        draw = np.random.default_rng(0)
        for n, shape in enumerate(((inputs, 4 * units), (units, 4 * units), (4 * units,))):
            group[str(n)] = draw.normal(size=shape).astype("float32")
    return made.getvalue()


def keras(path, content, how=zipfile.ZIP_DEFLATED, units=UNITS, config=None):
    config = config or {"class_name": "LSTM", "config": {"units": units, "name": "lstm"}}
    with zipfile.ZipFile(path, "w", how, compresslevel=1) as file:
        file.writestr("config.json", json.dumps(config))
        file.writestr("model.weights.h5", content)


def zeros_behind(path, size=390_000_000, units=UNITS):
    keras(path, weights(units) + bytes(size), units=units)


def connected(path, layers):
    config = {"name": "model", "layers": layers, "input_layers": [], "output_layers": []}
    keras(path, weights(), config={"class_name": "Functional", "config": config})


def layer(name, nodes):
    return {"class_name": "a", "config": {"name": name}, "inbound_nodes": nodes}


def chain(path):
    """Each of 11000 layers reads the one before it, so the sum of all layers below is large."""
    connected(path, [layer(f"{n}", [[[f"{n - 1}", 0, 0]]]) for n in range(11_000)])


def deep_tensors(path):
    """A layer reads 60000 tensors that lie in 400 lists."""
    nodes = [["a", 0, 0]] * 60_000
    for _ in range(400):
        nodes = [nodes]
    connected(path, [layer("b", nodes)])


def other_floats(path):
    """An HDF5 file of numbers of 32 bits that have their sign at the other end."""
    import h5py

    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(0, 24, 8, 1, 23)
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/lstm/cell/vars").id
        for n, shape in enumerate(((5, 16), (4, 16), (16,))):
            space, array = h5py.h5s.create_simple(shape), np.ones(shape, "float32")
            h5py.h5d.create(group, b"%d" % n, kind, space).write(space, space, array)


def claims_less(path):
    """The archive says that 500 MB of zeros are 100 kB, or that they have another checksum."""
    keras(path, weights() + bytes(100_000_000))
    with zipfile.ZipFile(path) as file:
        info = file.getinfo("model.weights.h5")
    changed(path, info, 100_000)


def changed(path, info, size):
    """Changes the unpacked size of an entry in the list and before its data."""
    data = bytearray(path.read_bytes())
    old = struct.pack("<I", info.file_size)
    at = 0
    while (at := data.find(old, at)) >= 0:
        data[at : at + 4] = struct.pack("<I", size)
        at += 4
    path.write_bytes(data)


def claims_more(path):
    keras(path, weights(), zipfile.ZIP_STORED)
    with zipfile.ZipFile(path) as file:
        info = file.getinfo("model.weights.h5")
    changed(path, info, 4_000_000_000)


def other_method(how, make):
    return lambda path: make(path, how)


KERAS = {
    "zeros": (zeros_behind, "would unpack to 3900"),
    "zeros, less": (lambda path: zeros_behind(path, 10_000_000), "but end after"),
    "zeros, stored": (
        lambda path: keras(path, weights() + bytes(5_000_000), zipfile.ZIP_STORED),
        "but end after",
    ),
    "zeros behind large weights": (
        lambda path: zeros_behind(path, 20_000_000, 800),
        "but end after",
    ),
    "claims less": (claims_less, ""),
    "claims more": (claims_more, ""),
    "chain": (chain, "has no LSTM layer"),
    "deep tensors": (deep_tensors, "not an LSTM"),
    "bzip2": (lambda path: keras(path, weights(), zipfile.ZIP_BZIP2), "compressed by method 12"),
    "lzma": (lambda path: keras(path, weights(), zipfile.ZIP_LZMA), "compressed by method 14"),
    "entries": (entries, "list of its entries"),
    "not hdf5": (lambda path: keras(path, b"a" * 1_000), "not a file of HDF5"),
}


def npz(path, arrays, how=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", how, compresslevel=1) as file:
        for name, array in arrays.items():
            if isinstance(array, bytes):
                content = array
            else:
                made = io.BytesIO()
                np.lib.format.write_array(made, array)
                content = made.getvalue()
            file.writestr(f"{name}.npy", content)


CELL = {NAME: np.ones((9, 16), "float32"), "rnn/lstm_cell/bias": np.ones(16, "float32")}


def header(text, data=b"", version=(1, 0)):
    """An array with any text as its header."""
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin1") + data


def twice(path, name):
    """One more array of the same name."""
    npz(path, CELL)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as file:
        warnings.simplefilter("ignore")
        file.writestr(name, header(SHAPED.format("<f4", "(9, 16)"), bytes(576)))


def headed(text, data=b"", version=(1, 0)):
    return lambda path: npz(path, CELL | {NAME: header(text, data, version)})


def damaged(how, path):
    """The packed data is overwritten with other bytes."""
    npz(path, CELL, how)
    data = bytearray(path.read_bytes())
    at = 30 + len(NAME) + 4
    data[at + 12 : at + 40] = b"\xff" * 28
    path.write_bytes(data)


SHAPED = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n"
NPZ = {
    "zeros": (
        lambda path: npz(path, CELL | {NAME: np.zeros((4_000, 16_000), "float32")}),
        "would unpack to 2560",
    ),
    "deflate": (functools.partial(damaged, zipfile.ZIP_DEFLATED), "is damaged"),
    "bzip2": (functools.partial(damaged, zipfile.ZIP_BZIP2), "compressed by method 12"),
    "lzma": (functools.partial(damaged, zipfile.ZIP_LZMA), "compressed by method 14"),
    "stored": (functools.partial(damaged, zipfile.ZIP_STORED), "damaged"),
    "entries": (entries, "list of its entries"),
    "twice": (lambda path: twice(path, f"{NAME}.npy"), "two entries named"),
    "twice, without ending": (lambda path: twice(path, NAME), "two arrays of one name"),
    "deep header": (headed("(" * 9_000 + ")" * 900), "header is damaged"),
    "long header": (headed(" " * 15_000_000, version=(2, 0)), "header is damaged"),
    "negative shape": (headed(SHAPED.format("<f4", "(-9, -16)"), bytes(576)), "another size"),
    "nothing large": (headed(SHAPED.format("|V0", "(10**15,)")), "header is damaged"),
    "nothing large ": (headed(SHAPED.format("|V0", f"({10**15},)")), "another size"),
    "large shape": (headed(SHAPED.format("<f4", f"({10**9}, {10**9})"), bytes(64)), "another size"),
    "text": (headed(SHAPED.format("<U4", "(36,)"), bytes(576)), ""),
    "objects": (headed(SHAPED.format("|O", "(9, 16)"), bytes(576)), "never unpickled"),
    "many axes": (headed(SHAPED.format("<f4", "(1," * 1 + "1," * 4_000 + ")"), bytes(4)), "size"),
}
