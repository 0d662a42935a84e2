"""Checkpoints of TensorFlow 2 with crafted object graphs, and ONNX models with external data."""

from jlstm.interop.tensorflow.objects import KEY
from tests.interop.fuzz.crafted_onnx import GRAPH, INITIALIZER, NODE
from tests.interop.fuzz.crafted_tensorflow import block, field, record, table
from tests.interop.test_bad_files import masked, varint

DATA = "data-00000-of-00001"


def text(content):
    """A text as the data of a variable, and its checksum."""
    held = b"\0" * 4 + content
    checksum = masked(len(content).to_bytes(4, "little") + held)
    return varint(len(content)) + held, int.from_bytes(checksum, "little")


def entry_of_text(offset, size, checksum):
    return field(1, 7) + field(2, b"") + field(4, offset) + field(5, size) + field(6, checksum)


def of_graph(path, graph, names=()):
    """A checkpoint of nothing but an object graph, and names of variables of no bytes."""
    data, checksum = text(graph)
    records = record(b"", field(1, 1)) + record(KEY.encode(), entry_of_text(0, len(data), checksum))
    records += b"".join(record(name, field(1, 1)) for name in names)
    path.write_bytes(table([block(records)]))
    path.with_name(f"{path.stem}.{DATA}").write_bytes(data)


def attribute(name, key):
    return field(2, field(1, b"VARIABLE_VALUE") + field(2, name) + field(3, key))


def nodes(path):
    of_graph(path, field(1, b"") * 1_000_000)


def attributes(path):
    of_graph(path, field(1, field(2, b"") * 1_000_000))


def variables(path):
    of_graph(path, field(1, b"".join(attribute(b"", b"%x" % n) for n in range(200_000))))


def numbers(path):
    of_graph(path, b"\x10\x00" * 1_000_000)


def same_names(path):
    """Very many variables have one name in the program."""
    names = [b"variables/%05d/.ATTRIBUTES/VARIABLE_VALUE" % n for n in range(20_000)]
    named = b"".join(attribute(b"lstm/lstm_cell/recurrent_kernel", name) for name in names)
    of_graph(path, field(1, named), names)


def many_layers(path):
    names = [b"l%05d/recurrent_kernel/.ATTRIBUTES/VARIABLE_VALUE" % n for n in range(20_000)]
    of_graph(path, b"", names)


def deep(path):
    names = [b"l%04d/" % n + b"a/" * 2_000 + b"recurrent_kernel" for n in range(1_900)]
    of_graph(path, b"", names)


OBJECTS = {
    "nodes": (nodes, "object graph"),
    "attributes": (attributes, "object graph"),
    "variables": (variables, "object graph"),
    "numbers": (numbers, "object graph"),
    "same names": (same_names, ""),
    "many layers": (many_layers, "more than 2000 layers"),
    "deep": (deep, "nested more than 32 deep"),
}


def tensor(name, shape, *external):
    """An array of float32 whose data is in another file."""
    dims = b"".join(field(1, n) for n in shape)
    entries = b"".join(
        field(13, field(1, key.encode()) + field(2, value.encode())) for key, value in external
    )
    return field(INITIALIZER, dims + field(2, 1) + field(8, name) + entries + field(14, 1))


def external(*entries, shape=(1, 16, 4), node=True, count=1):
    """A model of an LSTM whose weights are in the file that the entries name."""

    def write(path):
        names = [b"w%d" % n for n in range(count)]
        made = b"".join(tensor(name, shape, *entries) for name in names)
        for name in names if node else ():
            inputs = field(1, b"x") + field(1, name) * 2
            made += field(NODE, inputs + field(2, b"y" + name) + field(4, b"LSTM"))
        path.write_bytes(field(1, 10) + field(GRAPH, made))
        path.with_name(f"{path.name}.data").write_bytes(bytes(256))

    return write


HERE = ("location", "crafted.onnx.data")
EXTERNAL = {
    "device": (external(("location", "/dev/zero")), ""),
    "above": (external(("location", "../crafted.onnx.data")), ""),
    "nothing": (external(("location", "")), ""),
    "folder": (external(("location", ".")), ""),
    "large": (external(HERE, shape=(1, 40_000, 10_000)), ""),
    "large length": (external(HERE, ("length", str(10**15))), "length entry"),
    "large offset": (external(HERE, ("offset", str(10**30))), ""),
    "negative offset": (external(HERE, ("offset", "-5")), ""),
    "long number": (external(HERE, ("offset", "9" * 5_000)), ""),
    "many entries": (external(HERE, *[("offset", "1")] * 30_000), ""),
    "shared": (external(HERE, count=3_000), ""),
    "itself": (external(("location", "crafted.onnx"), ("length", "256")), ""),
}
