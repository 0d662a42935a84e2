"""Changes of files, of their bytes and of what they hold, with lengths and checksums put right.

Each change takes the content of a whole file and `draw`, which draws from a strategy of hypothesis.
"""

import copy
import io
import json
import struct
import warnings
import zipfile

import numpy as np
from hypothesis import strategies as st

from tests.interop.fuzz.crafted_tensorflow import block, record, table
from tests.interop.test_bad_files import odd_onnx, places

CHUNKS = st.one_of(
    st.binary(max_size=16),
    st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\x7f" * 4, b"\x80\x80\x01", b"(" * 40, b"[" * 900]),
)
NUMBERS = [-1, 0, 1, 2, 7, 255, 2**31 - 1, 2**32, 2**62, 10**30, 0.5, float("nan")]
ODD = [*NUMBERS, None, True, "", "x" * 50, "\x1b[31m\n", [], {}, [[]], {"a": 1}, ["F32"] * 3]


def of_bytes(data, draw):
    """A few pieces overwritten, inserted, removed, repeated or cut off, mostly near the ends."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        near = min(len(data), draw(st.sampled_from([64, 512, 1 << 30])))
        at = draw(st.integers(0, max(near - 1, 0)))
        if draw(st.booleans()):
            at = max(len(data) - 1 - at, 0)
        how, piece = draw(st.integers(0, 5)), draw(CHUNKS)
        if how == 0:
            data[at : at + len(piece)] = piece
        elif how == 1:
            data[at:at] = piece
        elif how == 2:
            del data[at : at + draw(st.integers(1, 64))]
        elif how == 3:
            del data[at:]
        elif how == 4:
            data[at:at] = data[at : at + draw(st.integers(1, 64))] * draw(st.integers(1, 50))
        elif data:
            data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


def of_tree(tree, draw):
    """A tree of JSON in which some values are others, or are gone."""
    for _ in range(draw(st.integers(1, 3))):
        every = [path for path in places(tree) if path]
        if not every:
            return tree
        path = draw(st.sampled_from(every))
        inner = tree
        for key in path[:-1]:
            inner = inner[key]
        how = draw(st.integers(0, 3))
        if how == 0:
            del inner[path[-1]]
        elif how == 1 and isinstance(inner, list):
            inner += inner[: draw(st.integers(1, 9))]
        else:
            inner[path[-1]] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return tree


def of_header(data, draw):
    """A safetensors file with another header, whose length is right."""
    size = int.from_bytes(data[:8], "little")
    how = draw(st.integers(0, 3))
    if how == 0:
        text = json.dumps(of_tree(json.loads(data[8 : 8 + size]), draw)).encode()
    elif how < 3:
        text = json.dumps(of_fields(json.loads(data[8 : 8 + size]), draw)).encode()
    else:
        text = of_bytes(data[8 : 8 + size], draw)
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def of_fields(header, draw):
    """A header of the right form, in which metadata, names, dtypes or shapes are others."""
    held = header.get("__metadata__", {})
    for _ in range(draw(st.integers(1, 3))):
        names = [name for name in header if name != "__metadata__"]
        name = draw(st.sampled_from(names))
        how = draw(st.integers(0, 4))
        if how == 0 and held:
            key = draw(st.sampled_from([*held]))
            held[key] = of_bytes(held[key].encode(), draw).decode(errors="replace")
        elif how == 1 and held:
            held.pop(draw(st.sampled_from([*held])), None)
        elif how == 2:
            own = header[name]
            shape = draw(
                st.sampled_from([own["shape"][::-1], [*own["shape"], 1], [1, *own["shape"]]])
            )
            header[name] = own | {"shape": shape}
        elif how == 3:
            own = header[name]
            dtype = draw(
                st.sampled_from(["I32", "U32", "F32"] if own["dtype"] == "F32" else ["F8_E4M3"])
            )
            header[name] = own | {"dtype": dtype}
        else:
            to = draw(st.sampled_from(["a", "layers.9.w_x", "layers.0.b.c", "x" * 3_000, "\x1b"]))
            header[to] = header.pop(name)
    return header


def of_archive(data, draw):
    """An archive in which one entry is changed, removed, repeated or packed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(made, "w") as to:
        entries = whole.infolist()
        own = draw(st.integers(0, len(entries) - 1))
        small = [n for n, entry in enumerate(entries) if entry.filename.endswith(("pkl", "json"))]
        if small and draw(st.booleans()):
            own = draw(st.sampled_from(small))
        how = draw(st.integers(0, 9))
        for n, entry in enumerate(entries):
            content, kind = whole.read(entry), entry.compress_type
            if n == own:
                if how == 0:
                    continue
                if how == 1:
                    kind = draw(st.sampled_from([8, 12, 14]))
                elif entry.filename.endswith(".json") and how < 8:
                    content = json.dumps(of_tree(json.loads(content), draw)).encode()
                else:
                    content = of_bytes(content, draw)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # names that are there twice
                for _ in range(2 if n == own and how == 2 else 1):
                    to.writestr(entry.filename, content, kind)
    return made.getvalue()


def of_model(data, draw):
    """An ONNX model that is well formed, with odd values."""
    return odd_onnx(data, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))


def records(data):
    """The records of each block of a table."""
    from jlstm.interop.tensorflow import table as reader

    whole = memoryview(data)
    return [
        [(key, bytes(value)) for key, value in reader.entries(whole, handle)]
        for _, handle in reader.blocks(whole)
    ]


def of_table(data, draw):
    """A table in which some keys and values are others; its checksums are right."""
    held = records(data)
    for _ in range(draw(st.integers(1, 3))):
        own = held[draw(st.integers(0, len(held) - 1))]
        if not own:
            continue
        n = draw(st.integers(0, len(own) - 1))
        key, value = own[n]
        how = draw(st.integers(0, 5))
        if how == 0:
            del own[n]
        elif how == 1:
            own[n] = of_bytes(key, draw), value
        elif how == 2:
            own.insert(n, own[draw(st.integers(0, len(own) - 1))])
        else:
            own[n] = key, of_bytes(value, draw)
    ends = [own[-1][0] if own else b"" for own in held]
    blocks = [block(b"".join(record(key, value) for key, value in own)) for own in held]
    if draw(st.integers(0, 9)) == 0:
        blocks = [of_bytes(part, draw) for part in blocks]
    return table(blocks, lambda handles: list(zip(ends, handles, strict=True)))
