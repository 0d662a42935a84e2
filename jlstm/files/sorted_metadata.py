"""Safetensors files whose bytes depend on their content alone."""

import json


def parts(content: bytes) -> tuple[bytes, memoryview]:
    """The same safetensors file with its metadata sorted: the header, and the rest.

    The package safetensors writes the metadata in an order that differs from call to call.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    metadata = dict(sorted(header.pop("__metadata__", {}).items()))
    text = json.dumps(
        {"__metadata__": metadata} | header, ensure_ascii=False, separators=(",", ":")
    ).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at multiples of 8
    return len(text).to_bytes(8, "little") + text, memoryview(content)[end:]
