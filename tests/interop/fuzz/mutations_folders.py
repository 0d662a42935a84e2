"""Changes of a checkpoint of TensorFlow 2, and of an ONNX model beside its external data.

Each takes the content of the first file and of those beside it, and returns those that it changed.
"""

import numpy as np
from hypothesis import strategies as st

from jlstm.interop import protobuf
from jlstm.interop.tensorflow.objects import KEY
from tests.interop.fuzz.crafted_folders import DATA, entry_of_text, text
from tests.interop.fuzz.crafted_tensorflow import block, field, record, table
from tests.interop.fuzz.mutations import CHUNKS, of_bytes, of_table, records
from tests.interop.test_bad_files import odd_onnx

NUMBERS = ["-1", "0", "1", "16", "320", "1.5", "", " 1", str(2**63), str(10**30), "9" * 5_000, "x"]
PLACES = ["", ".", "..", "/dev/zero", "/etc/passwd", "../external.onnx.data", "external.onnx"]
PLACES += ["./external.onnx.data", "missing", "a\0b", "\x1b[31m", "x" * 5_000, "a/../b"]


def of_index(index, draw, data):
    """Changes of a table alone."""
    return of_table(index, draw)


def of_checkpoint(stem):
    """Changes of a table, or of the object graph that it leads to; checksums are right."""

    def changed(index, draw, data):
        if draw(st.booleans()):
            return {f"{stem}.index": of_table(index, draw)}
        held = dict(pair for own in records(index) for pair in own)
        fields = {f.number: f.value for f in numbers(held[KEY.encode()])}
        at, size = fields.get(4, 0), fields[5]
        graph = of_message(data[at + len_of_number(data, at) + 4 : at + size], draw)
        own, checksum = text(graph)
        held[KEY.encode()] = entry_of_text(len(data), len(own), checksum)
        made = block(b"".join(record(key, value) for key, value in sorted(held.items())))
        return {f"{stem}.index": table([made]), f"{stem}.{DATA}": data + own}

    return changed


def numbers(message):
    return protobuf.fields(message, 0, len(message))


def len_of_number(data, at):
    return protobuf.varint(data, at)[1] - at


def of_message(message, draw, depth=0):
    """A message with a field, at any depth, that is changed, repeated or removed."""
    try:
        parts = list(numbers(message))
    except (ValueError, IndexError):
        parts = []
    if not parts or depth > 4 or draw(st.integers(0, 3)) == 0:
        return of_bytes(message, draw)
    own = parts[draw(st.integers(0, len(parts) - 1))]
    how = draw(st.integers(0, 7))
    whole = message[own.begin : own.end]
    if how == 0:
        whole = b""
    elif how == 1:
        whole *= draw(st.integers(2, 99))
    elif own.kind == protobuf.BYTES:
        whole = field(own.number, of_message(message[own.at : own.end], draw, depth + 1))
    elif how == 2:
        whole = field(own.number, draw(CHUNKS))
    else:
        whole = field(own.number, draw(st.sampled_from([0, 1, 2**31, 2**63])))
    return message[: own.begin] + whole + message[own.end :]


def of_external(model, draw, data):
    """A model with odd places of its arrays, or other data beside it."""
    import onnx

    made = onnx.ModelProto.FromString(model)
    for _ in range(draw(st.integers(1, 3))):
        tensor = draw(st.sampled_from(list(made.graph.initializer)))
        how = draw(st.integers(0, 5))
        if how == 0:
            tensor.dims[:] = draw(st.lists(st.sampled_from([-1, 0, 1, 4, 16, 2**40]), max_size=4))
        elif how == 1:
            tensor.data_type = draw(st.integers(-1, 30))
        elif how == 2 and tensor.external_data:
            del tensor.external_data[draw(st.integers(0, len(tensor.external_data) - 1))]
        else:
            key = draw(st.sampled_from(["location", "location", "offset", "length", "checksum"]))
            own = [entry for entry in tensor.external_data if entry.key == key]
            entry = own[0] if own and how != 3 else tensor.external_data.add(key=key)
            entry.value = draw(st.sampled_from(PLACES if key == "location" else NUMBERS))
    content = made.SerializeToString()
    if draw(st.integers(0, 3)) == 0:
        content = odd_onnx(content, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    beside = data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data
    return {"external.onnx": content, "external.onnx.data": beside}
