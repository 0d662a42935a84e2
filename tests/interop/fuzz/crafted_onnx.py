"""ONNX models of very many or very small parts."""

import numpy as np

from tests.interop.fuzz.crafted_tensorflow import field

GRAPH, NODE, INITIALIZER, INPUT, ATTRIBUTE = 7, 1, 5, 11, 5


def graph(*parts):
    """A function that writes a model whose graph has these parts, made when it is called."""

    def write(path):
        made = b"".join(part() if callable(part) else part for part in parts)
        path.write_bytes(field(1, 10) + field(GRAPH, made))

    return write


def lstms(count, before=b"x"):
    """LSTM nodes in a row, with no arrays."""
    start, end = field(1, before) + field(1, b"w") + field(1, b"w"), field(4, b"LSTM")
    return b"".join(field(NODE, start + field(2, b"%06d" % n) + end) for n in range(count))


def chain(kind, count):
    """Nodes that each read the value before them."""
    nodes = (
        field(1, b"%06d" % n) + field(2, b"%06d" % (n + 1)) + field(4, kind) for n in range(count)
    )
    return b"".join(field(NODE, node) for node in nodes)


def chained(kind, count=9_900):
    """A chain of nodes before an LSTM."""
    return graph(lambda: chain(kind, count), lstms(1, b"%06d" % count))


def doubled(count):
    """Each value is the one before beside itself, so the last would have 2**count numbers."""
    axis = field(ATTRIBUTE, field(1, b"axis") + field(20, 2) + field(3, 0))
    nodes = (
        field(1, b"%03d" % n) * 2 + field(2, b"%03d" % (n + 1)) + field(4, b"Concat") + axis
        for n in range(count)
    )
    start = field(INITIALIZER, field(1, 4) + field(2, 1) + field(8, b"000") + field(9, bytes(16)))
    last = b"%03d" % count
    node = field(1, last) * 3 + field(2, b"Y") + field(4, b"LSTM")
    return start + b"".join(field(NODE, n) for n in nodes) + field(NODE, node)


def nested(depth):
    made = b""
    for _ in range(depth):
        made = field(NODE, field(4, b"If") + field(ATTRIBUTE, field(20, 5) + field(6, made)))
    return made


def filled(value, shape):
    """A ConstantOfShape of many numbers as the weights of an LSTM."""
    dims = np.array(shape, "int64").tobytes()
    start = field(INITIALIZER, field(1, len(shape)) + field(2, 7) + field(8, b"s") + field(9, dims))
    node = field(1, b"s") + field(2, b"w") + field(4, b"ConstantOfShape")
    return start + field(NODE, node) + lstms(1) + value


def file(data):
    return lambda path: path.write_bytes(data())


MANY = "more than 200000 nodes, values and attributes"
MUCH = "take much more memory than the file"
CRAFTED = {
    "zeros": (file(lambda: bytes(8_000_000)), "ONNX model"),
    "versions": (file(lambda: b"\x08\x00" * 250_000), MANY),
    "endless": (file(lambda: b"\xff" * 8_000_000), "is not a whole ONNX model"),
    "nodes": (graph(b"\x0a\x00" * 250_000), MANY),
    "inputs": (graph(lambda: field(NODE, b"\x0a\x00" * 250_000)), MANY),
    "initializers": (graph(lambda: b"\x2a\x00" * 250_000), MANY),
    "axes": (graph(lambda: field(INITIALIZER, b"\x08\x01" * 250_000)), MANY),
    "texts": (graph(lambda: field(INITIALIZER, b"\x32\x00" * 250_000)), MANY),
    "opsets": (file(lambda: b"\x42\x00" * 250_000), MANY),
    "functions": (file(lambda: field(25, b"\x3a\x00" * 250_000)), MANY),
    "long numbers": (graph(lambda: field(INITIALIZER, field(7, bytes(20_000_000)))), MUCH),
    "short numbers": (graph(lambda: field(INITIALIZER, field(5, bytes(40_000_000)))), MUCH),
    "attribute": (graph(lambda: field(NODE, field(ATTRIBUTE, field(8, bytes(20_000_000))))), MUCH),
    "nested": (graph(nested(30)), "nested more than 64 deep"),
    "nested deeply": (graph(nested(300)), "nested more than 64 deep"),
    "empty nodes": (graph(b"\x0a\x00" * 140_000), ""),
    "lstms": (graph(lambda: lstms(9_900)), ""),
    "chain": (chained(b"Relu"), ""),
    "chain of lstms": (chained(b"LSTM"), ""),
    "chain of identities": (chained(b"Identity"), ""),
    "doubled": (graph(doubled(60)), ""),
    "filled": (graph(filled(b"", (1, 100_000, 100_000))), ""),
    "filled with little": (graph(filled(b"", (1, 4_000, 1_000))), ""),
    "names": (graph(lambda: field(NODE, field(2, b"a" * 8_000_000) + field(4, b"LSTM"))), ""),
}
