"""Reads .keras and .weights.h5 files without Keras. No code in them ever runs."""

import io
import json
import lzma
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from jlstm.interop import needs
from jlstm.interop.keras import names, weights
from jlstm.interop.keras.hdf5 import Reader
from jlstm.interop.keras.parts import Part
from jlstm.interop.report import Report

# Errors of the zip and HDF5 readers for missing or changed bytes.
_BROKEN = (zipfile.BadZipFile, RuntimeError, KeyError, EOFError, TypeError, AttributeError)
_BROKEN += (IndexError, OverflowError, zlib.error, lzma.LZMAError)
_LARGEST_JSON = 1 << 20  # bytes; real files have some thousand
_LARGEST_RATIO = 100  # of unpacked to packed; trained weights hardly shrink at all


def read(path: str | os.PathLike, report: Report) -> list[Part]:
    """The layers of a file, lowest first.

    Raises:
      ValueError: the file is truncated or not one of Keras, or its network is not a Sequential.
    """
    try:
        return _of_archive(path) if _is_archive(path) else weights.read(path, report)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except _BROKEN as error:
        raise ValueError(f"{path} is damaged or not a file of Keras 3: {error}") from None


def _is_archive(path: str | os.PathLike) -> bool:
    """Whether the file is a .keras archive, by its extension or else by its first bytes."""
    name = str(path).lower()
    if name.endswith((".keras", ".h5")):
        return name.endswith(".keras")
    with open(path, "rb") as file:
        return file.read(4) == b"PK\3\4"


def _of_archive(path: str | os.PathLike) -> list[Part]:
    h5py = needs.module("h5py")
    with zipfile.ZipFile(path) as archive:
        for name in ("config.json", "model.weights.h5"):
            if name not in archive.namelist():
                raise ValueError(f"{path} holds no {name}; expected a .keras file of Keras 3")
        entry = archive.getinfo("model.weights.h5")
        if entry.file_size > _LARGEST_RATIO * max(entry.compress_size, 1):
            raise ValueError(f"{path}: its weights would unpack to {entry.file_size} bytes")
        config = _config(path, archive)
        with archive.open(entry) as packed:
            if entry.compress_type == zipfile.ZIP_STORED:
                content, opened = np.memmap(path, np.uint8, "r")[_beginning(path, entry) :], packed
            else:
                unpacked = packed.read()
                content, opened = np.frombuffer(unpacked, np.uint8), io.BytesIO(unpacked)
            with h5py.File(opened, "r") as file:
                return list(_parts(config, file, Reader(content)))


def _config(path: str | os.PathLike, archive: zipfile.ZipFile) -> Any:
    """The serialised network. Names of Keras 2 are replaced by those of Keras 3."""

    def loaded(name: str, hook: Any = None) -> Any:
        if archive.getinfo(name).file_size > _LARGEST_JSON:
            raise ValueError(
                f"{path}: its {name} is larger than Keras writes; expected at most 1 MiB"
            )
        try:
            return json.loads(archive.read(name), object_hook=hook)
        except (ValueError, RecursionError):
            raise ValueError(f"{path}: its {name} is not valid JSON") from None

    def renamed(options: dict[str, Any]) -> dict[str, Any]:
        for option in ("activation", "recurrent_activation"):
            name = options.get(option)
            if isinstance(name, str):
                options[option] = names.OF_KERAS_2.get(name, name)
        return options

    has = "metadata.json" in archive.namelist()
    metadata = loaded("metadata.json") if has else {}
    version = metadata.get("keras_version", "3") if isinstance(metadata, dict) else None
    major = str(version).partition(".")[0]
    if major not in ("2", "3"):
        raise ValueError(
            f"{path} was written by version {ascii(version)[:99]} of Keras; expected 2 or 3"
        )
    return loaded("config.json", renamed if major == "2" else None)


def _beginning(path: str | os.PathLike, entry: zipfile.ZipInfo) -> int:
    """The offset of a stored entry's bytes: after a 30-byte header, its name and extra field."""
    with open(path, "rb") as file:
        file.seek(entry.header_offset + 26)
        lengths = file.read(4)
    return entry.header_offset + 30 + sum(struct.unpack("<HH", lengths))


def _parts(serialized: Any, group: Any, reader: Reader) -> Iterator[Part]:
    """The part of a layer, or the parts of all layers of a Sequential, nested ones included."""
    whole = Part(serialized, [])
    if whole.kind != "Sequential":
        whole.weights = reader.arrays(group)
        yield whole
        return
    layers = whole.options.get("layers")
    if not isinstance(layers, list):
        raise ValueError(f"{whole.name} is a Sequential without a list of layers")
    inner, seen = reader.inner(group, "layers"), dict[str, int]()
    for layer in layers:
        kind = Part(layer, []).kind
        # Keras numbers groups by the layer's class: "layers/lstm", "layers/lstm_1".
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind).lower()
        number = seen.get(name, 0)
        found = None
        if kind != "InputLayer":
            found = reader.inner(inner, f"{name}_{number}" if number else name)
            seen[name] = number + 1
        yield from _parts(layer, found, reader)
