"""Changes of what HDF5 files hold: attributes, names, links, shapes, dtypes and ways of storing."""

import io
import json

import numpy as np
from hypothesis import strategies as st

from tests.interop.fuzz.mutations import ODD, of_tree

NAMES = ["a", "0", "1", "vars", "cell", "cells", "lstm", "lstm_1", "layers", "forward_layer"]
NAMES += ["kernel:0", "bias:0", "model_weights", "seed_generator", "é\x1b", "x" * 2_000, "a/b/c"]
SHAPES = [(), (0,), (16,), (16, 5), (4, 16), (5, 16), (1, 1, 1), (0, 2**40), (1,) * 32]
DTYPES = ["<f4", ">f4", "<f8", "<f2", "<i4", "S4", "V2", "<c8", "?"]
TEXTS = ["", "2.1.0", "3.4.0", "9", "\x1b[31m", "x" * 40_000, "[" * 30_000]


def of_hdf5(data, draw):
    """A file of HDF5 in which some objects are others, or stand elsewhere."""
    import h5py

    made = io.BytesIO(data)
    with h5py.File(made, "r+") as file:
        for _ in range(draw(st.integers(1, 3))):
            paths: list[str] = []
            file.visit(paths.append)
            if not paths:
                break
            path = draw(st.sampled_from(paths))
            try:
                draw(st.sampled_from(CHANGES))(file, path, draw)
            except (ValueError, KeyError, OSError, RuntimeError, TypeError):
                continue  # such a change cannot be written
    return made.getvalue()


def attribute(file, path, draw):
    """An attribute of any kind, mostly in place of one that is read."""
    own = file if draw(st.booleans()) else file[path]
    name = draw(st.sampled_from([*own.attrs, "layer_names", "weight_names", "name"]))
    how = draw(st.integers(0, 5))
    if name == "model_config" and how < 4:
        own.attrs[name] = json.dumps(of_tree(json.loads(own.attrs[name]), draw))
    elif how == 0:
        del own.attrs[name]
    elif how == 1:
        own.attrs[name] = draw(st.sampled_from(TEXTS))
    elif how == 2:
        own.attrs[name] = draw(st.sampled_from([n for n in ODD if isinstance(n, (int, float))]))
    elif how == 3:
        own.attrs[name] = np.array(draw(st.lists(st.sampled_from(NAMES), max_size=9)), "S")
    elif how == 4:
        own.attrs[name] = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=9))
    else:
        own.attrs[name] = np.zeros(draw(st.sampled_from(SHAPES)), draw(st.sampled_from(DTYPES)))


def removed(file, path, draw):
    del file[path]


def moved(file, path, draw):
    above = path.rpartition("/")[0]
    to = draw(st.sampled_from(NAMES))
    file.move(path, f"{above}/{to}" if draw(st.booleans()) else to)


def copied(file, path, draw):
    file.copy(path, f"{path.rpartition('/')[0]}/{draw(st.sampled_from(NAMES))}")


def linked(file, path, draw):
    """A link of any kind in an object's place, or beside it, even to a group that holds it."""
    import h5py

    to = draw(st.sampled_from(["/", path, path.rpartition("/")[0] or "/", "/missing"]))
    how = draw(st.integers(0, 2))
    target = [h5py.SoftLink(to), h5py.ExternalLink("other.h5", to), file.get(to)][how]
    place = f"{path}_1"
    if draw(st.booleans()) and target is not None:
        del file[path]
        place = path
    file[place] = target


def stored(file, path, draw):
    """An array of another shape or dtype, or stored in another way."""
    import h5py

    del file[path]
    shape, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(DTYPES))
    how = draw(st.integers(0, 7))
    if how == 0:
        file[path] = np.zeros(shape, dtype)
    elif how == 1:
        file.create_dataset(path, (2**20, 2**20), "<f4")  # of no bytes
    elif how == 2:
        packed = draw(st.sampled_from(["gzip", "lzf"]))
        file.create_dataset(path, data=np.zeros((300, 300), "<f4"), compression=packed)
    elif how == 3:
        file.create_dataset(path, data=np.ones((4, 16), "<f4"), chunks=(1, 4))
    elif how == 4:
        file.create_dataset(path, (4, 16), "<f4", external=[("other.bin", 0, 256)])
    elif how == 5:
        layout = h5py.VirtualLayout((4, 16), "<f4")
        layout[:] = h5py.VirtualSource("other.h5", "a", (4, 16))
        file.create_virtual_dataset(path, layout)
    elif how == 6:
        file[path] = draw(st.sampled_from(TEXTS))
    else:
        file[path] = np.zeros(shape, [("a", "<f4"), ("b", "<i4", (3,))])


CHANGES = [attribute, attribute, removed, moved, copied, linked, stored, stored]
