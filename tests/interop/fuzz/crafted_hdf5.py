"""Small files of HDF5 that would become large, or are read again and again."""

import numpy as np


def file(fill):
    """A function that writes a file in which `fill` puts objects."""

    def write(path):
        import h5py

        with h5py.File(path, "w") as made:
            fill(made)

    return write


def texts_at_one_place(path, count=4_000, size=1_000_000):
    """An attribute of very many texts, all of which are the same bytes of the file."""
    import h5py

    kind = h5py.string_dtype()
    with h5py.File(path, "w") as made:
        made.create_dataset("held", (1,), kind)[0] = "Q" * size
        made.attrs.create("layer_names", np.array(["Z"] * count, object), dtype=kind)
    at_one_place(path, count, size)


def at_one_place(path, count, size=1_000_000):
    """Makes all references to texts of one character lead to the text of `size`."""
    data = bytearray(path.read_bytes())
    # Of each reference: the size, the place of the heap, and the number in it.
    places = {1: [], size: []}
    for length, found in places.items():
        at = data.find(length.to_bytes(4, "little"))
        while at >= 0:
            heap = int.from_bytes(data[at + 4 : at + 12], "little")
            if data[heap : heap + 4] == b"GCOL" and data[at + 12 : at + 16] != bytes(4):
                found.append(at)
            at = data.find(length.to_bytes(4, "little"), at + 4)
    large = data[places[size][0] : places[size][0] + 16]
    assert len(places[1]) > count / 2
    for at in places[1]:
        data[at : at + 16] = large
    path.write_bytes(data)


def layers_again(made):
    """One layer is listed 60000 times."""
    for n in range(300):
        made[f"lstm/lstm/cell/{n}"] = np.zeros(1, "float32")
    made.attrs["layer_names"] = np.full(9_000, "lstm", "S4")
    made["lstm"].attrs["weight_names"] = np.full(5_000, "a", "S1")


def groups(made):
    for n in range(6_000):
        made.create_group(f"layers/lstm_{n}/cell/vars")


def long_paths(made):
    """Each of 4000 arrays is below 15 groups of long names."""
    group = made
    for _ in range(15):
        group = group.create_group("a" * 60_000)
    for n in range(4_000):
        group.create_dataset(f"{n}", (0,), "float32")


def labels(path):
    """Very many groups have the same long name of a layer, stored once."""
    import h5py

    with h5py.File(path, "w") as made:
        for n in range(1_000):
            made.create_group(f"layers/lstm_{n}/cell/vars").attrs["name"] = "Z"
        made["layers/lstm_0/cell/vars"].attrs["name"] = "Q" * 1_000_000
    at_one_place(path, 1_000)


def nested(made):
    made.create_group("/".join(["a"] * 200))


def ring(made):
    made["layers/a/b"] = np.zeros(3, "float32")
    made["layers/a/c"] = made["layers"]


def twice(made):
    made["layers/lstm/cell/vars/0"] = np.zeros((5, 16), "float32")
    made["layers/lstm/cell/vars/1"] = made["layers/lstm/cell/vars/0"]


def in_vars(fill):
    def put(made):
        group = made.create_group("layers/lstm/cell/vars")
        group["1"], group["2"] = np.zeros((4, 16), "float32"), np.zeros(16, "float32")
        fill(group)

    return file(put)


def packed(group):
    zeros = np.zeros((100_000, 16), "float32")
    group.create_dataset("0", data=zeros, compression="gzip", chunks=zeros.shape)


def elsewhere(group):
    group.create_dataset("0", (5, 16), "float32", external=[("/dev/zero", 0, 320)])


def virtual(group):
    import h5py

    layout = h5py.VirtualLayout((5, 16), "float32")
    layout[:] = h5py.VirtualSource("/dev/zero", "a", (5, 16))
    group.create_virtual_dataset("0", layout)


def link(target):
    import h5py

    def put(group):
        group["0"] = getattr(h5py, target[0])(*target[1:])

    return in_vars(put)


CRAFTED = {
    "texts at one place": (texts_at_one_place, "may take much more memory than"),
    "layers again": (file(layers_again), "lists a layer twice"),
    "groups": (file(groups), "expected at most 5000"),
    "long paths": (file(long_paths), "is longer than any path"),
    "labels": (labels, "may take much more memory than"),
    "nested": (file(nested), "nested more than 16 deep"),
    "ring": (file(ring), "a second link to the same object"),
    "twice": (file(twice), "a second link to the same object"),
    "of no bytes": (in_vars(lambda g: g.create_dataset("0", (2**30, 16), "float32")), "only 0"),
    "packed": (in_vars(packed), "is compressed"),
    "elsewhere": (in_vars(elsewhere), "stored in another file"),
    "virtual": (in_vars(virtual), "stored in another file"),
    "soft link": (link(("SoftLink", "/layers")), "is a link to another file or place"),
    "external link": (link(("ExternalLink", "/dev/zero", "a")), "is a link to another file"),
}
