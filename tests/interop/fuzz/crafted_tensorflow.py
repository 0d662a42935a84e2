"""Small checkpoints of TensorFlow that would take much time or memory if they were believed."""

import struct

from tests.interop.test_bad_files import masked, varint

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")


def field(number, content):
    """A field of a protocol buffer: a number, or bytes."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def record(key, value, shared=0):
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


def block(records):
    return records + struct.pack("<II", 0, 1)


def table(blocks, listed=None):
    """A table of blocks; `listed` makes the list of (key, handle) of the blocks' handles."""
    data, handles = b"", []
    for content in blocks:
        handles.append(varint(len(data)) + varint(len(content)))
        data += content + b"\0" + masked(content + b"\0")
    listed = listed or (lambda handles: [(b"%06d" % n, h) for n, h in enumerate(handles)])
    listing = block(b"".join(record(key, handle) for key, handle in listed(handles)))
    footer = varint(0) + varint(0) + varint(len(data)) + varint(len(listing))
    data += listing + b"\0" + masked(listing + b"\0")
    return data + footer.ljust(40, b"\0") + MAGIC


def entry(dtype=1, shape=(), shard=0, offset=0, size=0):
    dims = b"".join(field(2, field(1, n)) for n in shape)
    return field(1, dtype) + field(2, dims) + field(3, shard) + field(4, offset) + field(5, size)


def repeated(path):
    """A large block is listed 10000 times, each time with other bytes after its place."""
    content = block(b"".join(record(b"%06d" % n, b"") for n in range(3_000)))
    path.write_bytes(
        table([content], lambda h: [(b"%06d" % n, h[0] + varint(n)) for n in range(10_000)])
    )


def overlapping(path):
    """Blocks begin within others."""
    content = block(b"".join(record(b"%06d" % n, b"") for n in range(3_000)))
    handle = [varint(n) + varint(len(content) - n) for n in range(5_000)]
    path.write_bytes(table([content], lambda _: [(b"%06d" % n, h) for n, h in enumerate(handle)]))


def sharing(path):
    """Names of 4000 bytes share all but the last six."""
    start = record(b"a" * 4_000, b"")
    names = b"".join(record(b"%06d" % n, b"", 4_000) for n in range(90_000))
    path.write_bytes(table([block(start + names)]))


def sharing_little(path):
    """Very many names share 40 bytes."""
    start = record(b"a" * 40, b"")
    names = b"".join(record(b"%06d" % n, b"", 40) for n in range(200_000))
    path.write_bytes(table([block(start + names)]))


def sharing_in_blocks(path):
    """Each block shares as much as one may."""
    start = record(b"a" * 3_000, b"")
    names = b"".join(record(b"%02d" % n, b"", 3_000) for n in range(14))
    path.write_bytes(table([block(start + names)] * 500))


def empty_names(path):
    path.write_bytes(table([block(bytes(3) * 580_000)]))


def many_blocks(path):
    path.write_bytes(table([block(b"")] * 20_000))


def many_axes(path):
    header = record(b"", field(1, 1))
    kernel = record(b"rnn/lstm_cell/kernel", entry(shape=(1,) * 10_000, size=4))
    bias = record(b"rnn/lstm_cell/bias", entry(shape=(16,), size=64))
    path.write_bytes(table([block(header + bias + kernel)]))
    path.with_name(f"{path.stem}.data-00000-of-00001").write_bytes(bytes(100))


def large_numbers(path):
    """Sizes whose product has a million digits."""
    header = record(b"", field(1, 1))
    shape = (2**63 - 1,) * 4_000
    kernel = record(b"rnn/lstm_cell/kernel", entry(shape=shape, size=4))
    bias = record(b"rnn/lstm_cell/bias", entry())
    path.write_bytes(table([block(header + bias + kernel)]))
    path.with_name(f"{path.stem}.data-00000-of-00001").write_bytes(bytes(100))


def many_fields(path):
    header = record(b"", b"\x08\x01" * 400_000)
    path.write_bytes(table([block(header)]))


def many_shards(path):
    """The same bytes are the data of 20000 variables."""
    records = record(b"", field(1, 1))
    value = entry(shape=(100, 100), size=40_000)
    for n in range(20_000):
        records += record(b"cell_%06d/lstm_cell/kernel" % n, value)
    path.write_bytes(table([block(records)]))
    path.with_name(f"{path.stem}.data-00000-of-00001").write_bytes(bytes(40_000))


def long_names(path):
    """Names of many scopes, for what looks for cells in them."""
    names = [b"%06d/" % n + b"lstm_cell/" * 380 + b"kernel" for n in range(4_000)]
    records = record(b"", field(1, 1)) + b"".join(record(n, entry(shape=(9, 16))) for n in names)
    path.write_bytes(table([block(records)]))


def unordered(path):
    """Two variables of one name."""
    records = [record(name, entry(shape=(9, 16))) for name in (b"a/kernel", b"a/kernel")]
    path.write_bytes(table([block(record(b"", field(1, 1)) + b"".join(records))]))


def unordered_blocks(path):
    held = [record(b"", field(1, 1)) + record(b"b", entry()), record(b"a", entry())]
    path.write_bytes(table([block(each) for each in held]))


def big_endian(path):
    path.write_bytes(table([block(record(b"", field(1, 1) + field(2, 1)))]))


def many_parts(path):
    """A variable is described by very many fields."""
    kernel = record(b"rnn/lstm_cell/kernel", b"\x18\x00" * 2_000_000)
    bias = record(b"rnn/lstm_cell/bias", entry(shape=(16,), size=64))
    path.write_bytes(table([block(record(b"", field(1, 1)) + bias + kernel)]))


def graph(path):
    """The object graph of TensorFlow 2 has very many objects."""
    text = b"\x0a\x02\x12\x00" * 1_000_000
    size = masked(len(text).to_bytes(4, "little"))
    crc = masked(len(text).to_bytes(4, "little") + size + text)
    held = varint(len(text)) + size + text
    value = entry(dtype=7, size=len(held)) + b"\x35" + crc
    records = record(b"", field(1, 1)) + record(b"_CHECKPOINTABLE_OBJECT_GRAPH", value)
    path.write_bytes(table([block(records)]))
    path.with_name(f"{path.stem}.data-00000-of-00001").write_bytes(held)


def named(path, names):
    """Variables without values."""
    records = [record(b"", field(1, 1)), *(record(name, b"") for name in sorted(names))]
    path.write_bytes(table([block(b"".join(records))]))
    path.with_name(f"{path.stem}.data-00000-of-00001").write_bytes(b"0")


def groups(start, end, count):
    return lambda path: named(path, [start + b"%06d" % n + end for n in range(count)])


KERAS = {
    "graph": (graph, "more than 200000 fields"),
    "groups": (groups(b"", b"/rnn/.ATTRIBUTES/VARIABLE_VALUE", 60_000), "more than 2000 layers"),
    "siblings": (groups(b"a/", b"/recurrent_kernel", 9_000), "more than 2000 layers"),
    "cells": (
        groups(b"a/stacked_rnn_cells/lstm_cell_", b"/recurrent_kernel", 9_000),
        "more than 2000 layers",
    ),
    "deep": (groups(b"a/" * 1_900, b"/recurrent_kernel", 1_000), "nested more than 32 deep"),
    "ways": (
        groups(b"", b"/forward_a" * 20 + b"/recurrent_kernel", 9_000),
        "more than 2000 layers",
    ),
    "digits": (groups(b"1a" * 1_900, b"/recurrent_kernel", 1_000), "dtype number 0"),
}
CRAFTED = {
    "long_names": (long_names, ""),
    "repeated": (repeated, "lists a block twice"),
    "overlapping": (overlapping, "lists a block twice"),
    "sharing": (sharing, "bytes of names"),
    "sharing_little": (sharing_little, "more than"),
    "sharing_in_blocks": (sharing_in_blocks, "not in order"),
    "empty_names": (empty_names, "not in order"),
    "unordered": (unordered, "not in order"),
    "unordered_blocks": (unordered_blocks, "not in order"),
    "big_endian": (big_endian, "are big-endian"),
    "many_parts": (many_parts, "more than 16 parts"),
    "many_blocks": (many_blocks, "has no header"),
    "many_axes": (many_axes, "more than 254 axes"),
    "large_numbers": (large_numbers, "more than 254 axes"),
    "many_fields": (many_fields, "more than 16 parts"),
    "many_shards": (many_shards, ""),
}


def described(path, variables):
    """A checkpoint of the format V1, of these descriptions of variables."""
    value = field(1, field(1, variables) if isinstance(variables, bytes) else variables())
    path.write_bytes(table([block(record(b"", value))]))


def variables_v1(path):
    described(path, lambda: field(1, field(1, b"a")) * 150_000)


def axes_v1(path):
    described(path, lambda: field(1, field(1, b"a") + field(2, field(2, field(1, 1)) * 150_000)))


def repeated_v1(path):
    content = block(record(b"", field(1, field(1, field(1, b"a")))) + record(b"z" * 9, b""))
    path.write_bytes(
        table([content], lambda h: [(b"%06d" % n, h[0] + varint(n)) for n in range(10_000)])
    )


CRAFTED_V1 = {
    "variables": (variables_v1, "more than"),
    "axes": (axes_v1, "more than"),
    "repeated": (repeated_v1, "lists a block twice"),
}
