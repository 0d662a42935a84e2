"""Small files of torch that would take much time or memory if they were believed."""

import io
import warnings
import zipfile


def archive(path, pickled, data=b"", name="archive/data.pkl"):
    """An archive as of torch, with another pickle and one storage."""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(name, pickled)
        made.writestr("archive/byteorder", b"little")
        if data:
            made.writestr("archive/data/0", data)
        made.writestr("archive/version", b"3\n")


def text(value):
    raw = value.encode()
    return b"X" + len(raw).to_bytes(4, "little") + raw


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def allocated(path):
    size = (2_000_000_000).to_bytes(5, "little")
    archive(path, b"\x80\x02" + named("builtins", "bytearray") + b"\x8a\x05" + size + b"\x85R.")


def copied(path):
    """A mapping of 30000 keys is the argument of OrderedDict 100000 times."""
    pairs = b"".join(b"M" + n.to_bytes(2, "little") + b"N" for n in range(30_000))
    held = b"}q\x00(" + pairs + b"uh\x00\x85q\x02"
    start = b"\x80\x02]" + held + named("collections", "OrderedDict") + b"q\x01"
    archive(path, start + b"(" + b"h\x01h\x02R" * 100_000 + b"e.")


def hashed(path):
    """A key is a tuple of 2**60 parts."""
    key = b")" + b"q\x00h\x00\x86" * 60
    archive(path, b"\x80\x02}" + key + b"Ns.")


def collided(path):
    """Keys have the same hash."""
    numbers = ((n * (2**61 - 1)).to_bytes(10, "little") for n in range(80_000))
    archive(path, b"\x80\x02}(" + b"".join(b"\x8a\x0a" + n + b"N" for n in numbers) + b"u.")


def nested(path):
    """Each of four levels has the next one 500 times."""
    made = b"}q\x00" + text("a") + b"Ns"
    for level in range(1, 5):
        pairs = b"".join(text(f"{n}") + b"h" + bytes([level - 1]) for n in range(500))
        made = made + b"0}q" + bytes([level]) + b"(" + pairs + b"u"
    archive(path, b"\x80\x02" + made.replace(b"0}", b"\x85}") + b".")


def tensors(path, shape=b"K\x01\x85", count=60_000):
    """Very many tensors share one storage, or have very many axes."""
    storage = b"(" + text("storage") + named("torch", "FloatStorage") + text("0") + text("cpu")
    start = b"\x80\x02" + named("torch._utils", "_rebuild_tensor_v2") + b"q\x00"
    start += storage + b"K\x01tQq\x01" + shape + b"q\x02("
    one = b"h\x00(h\x01K\x00h\x02h\x02\x89NtR"
    archive(path, start + one * count + b"t.", bytes(4))


ENDLESS = b")q\x03" + b"h\x03h\x03\x86q\x03" * 60  # a tuple of 2**60 parts


def one_tensor(offset=b"K\x00", shape=b")", strides=b")"):
    """The instructions for a tensor of a storage of 4 bytes."""
    storage = b"(" + text("storage") + named("torch", "FloatStorage") + text("0") + text("cpu")
    start = named("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + b"K\x01tQ"
    return start + offset + shape + strides + b"\x89NtR"


def endless_offset(path):
    archive(path, b"\x80\x02" + one_tensor(ENDLESS) + b".", bytes(4))


def endless_shape(path):
    archive(path, b"\x80\x02" + one_tensor(shape=ENDLESS + b"\x85", strides=b"K\x01\x85") + b".")


def numbers(*values):
    return b"".join(b"\x8a\x08" + n.to_bytes(8, "little") for n in values)


def state(path, tensors):
    """A state dict of tensors of these shapes, all of whose elements are one number."""
    made = b"\x80\x02}("
    for name, shape in tensors.items():
        sizes, strides = (b"(" + numbers(*own) + b"t" for own in (shape, (0,) * len(shape)))
        made += text(name) + one_tensor(shape=sizes, strides=strides)
    archive(path, made + b"u.", bytes(4))


def overflowing(path):
    """The bytes of a tensor under weight norm are 2**64, which is 0 in 64 bits."""
    whole = {"weight_ih_l0_g": (), "weight_ih_l0_v": (2**32, 2**30), "weight_hh_l0": (16, 4)}
    state(path, whole)


def in_itself(path, count=20):
    """A mapping holds itself."""
    pairs = b"".join(text(f"{n:x}") + b"h\x00" for n in range(count))
    archive(path, b"\x80\x02}q\x00(" + pairs + b"u.")


def hidden(path):
    """The pickle lies where tensors do."""
    archive(path, b"\x80\x02" + b"N" * 20_000_000 + b".", name="archive/data/data.pkl")


def twice(path):
    archive(path, b"\x80\x02}.")
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as made:
        warnings.simplefilter("ignore")
        made.writestr("archive/data.pkl", b"\x80\x02].")


def axes(path):
    tensors(path, b"(" + b"K\x01" * 200_000 + b"t", 20_000)


def lists(path):
    archive(path, b"\x80\x02](" + b"]" * 1_000_000 + b"e.")


def marks(path):
    archive(path, b"\x80\x02" + b"(" * 1_000_000 + b"t.")


def recalled(path):
    archive(path, b"\x80\x02}r\xff\xff\xff\xff.")


def sparse(path):
    """A sparse tensor of 2**40 numbers, which is left alone unless it is a weight."""
    build = named("torch._utils", "_rebuild_sparse_tensor") + b"N\x85R"
    archive(path, b"\x80\x02}" + text("weight_ih_l0") + build + b"s.")


def entries(path, count=300_000):
    """Very many empty entries."""
    one = io.BytesIO()
    with zipfile.ZipFile(one, "w") as made:
        made.writestr("a", b"")
    raw = one.getvalue()
    local, listed = raw[:31], raw[31 : 31 + 47]
    end = bytearray(raw[78:])
    end[12:16] = (47 * count).to_bytes(4, "little")
    end[16:20] = len(local).to_bytes(4, "little")
    path.write_bytes(local + listed * count + end)


CRAFTED = {
    "allocated": (allocated, "an object of builtins.bytearray alone"),
    "copied": (copied, "OrderedDict in it is filled in another way"),
    "hashed": (hashed, "a key of type tuple"),
    "collided": (collided, "expected a text of at most 1000 characters, or a number"),
    "nested": (nested, "state dict"),
    "tensors": (tensors, "more than 20000 tensors"),
    "endless offset": (endless_offset, "a size that is a tuple"),
    "endless shape": (endless_shape, "a size that is a tuple"),
    "overflowing": (overflowing, "weights would take"),
    "in itself": (in_itself, "the names in the state dict take"),
    "hidden": (hidden, "no item named 'archive/data.pkl'"),
    "twice": (twice, "two entries named 'archive/data.pkl'"),
    "axes": (axes, "more than 8 axes"),
    "lists": (lists, "more than 200000 lists"),
    "marks": (marks, "more than 200000 lists"),
    "recalled": (recalled, "state dict holds no LSTM"),
    "sparse": (sparse, "weight_ih_l0 is stored by torch._utils._rebuild_sparse_tensor"),
    "entries": (entries, "the list of its entries has 14100000 bytes"),
}
