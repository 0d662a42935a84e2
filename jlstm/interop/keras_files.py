"""What .keras and .weights.h5 files hold, read without Keras: nothing in them is ever run."""

import io
import json
import lzma
import os
import re
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from jlstm.interop import needs
from jlstm.interop.report import Report

# What the readers of archives, JSON and HDF5 raise where bytes are missing or changed.
_BROKEN = (zipfile.BadZipFile, RuntimeError, KeyError, json.JSONDecodeError, EOFError)
_BROKEN += (TypeError, AttributeError, IndexError, OverflowError, RecursionError)
_BROKEN += (zlib.error, lzma.LZMAError)
_DEEPEST = 16  # groups of an HDF5 file within each other; Keras's stand some six deep
_LARGEST_CONFIG = 16 << 20  # bytes of config.json; real ones have some thousand


# A file, and where in it the HDF5 file begins.
_Mapped = tuple[str | os.PathLike, int]


class Part:
    """One layer: what Keras's serialised form says of it, and its arrays in its own order."""

    def __init__(self, serialized: dict[str, Any], weights: list[np.ndarray]) -> None:
        try:
            self.kind = str(serialized["class_name"])
            self.options = dict(serialized["config"])
        except (KeyError, TypeError, ValueError):
            raise ValueError("a layer lacks a class_name and a config") from None
        if serialized.get("module", "keras.layers").partition(".")[0] != "keras":
            raise ValueError(f"{self.kind} of {serialized['module']} is not one of Keras's layers")
        self.name = self.options.get("name", self.kind)
        self.weights = weights


def read(path: str | os.PathLike, report: Report) -> list[Part]:
    """The layers of a file, lowest first.

    Raises:
      ValueError: not a file of Keras 3, not whole, or a network that is not a Sequential of layers.
    """
    try:
        if str(path).lower().endswith(".keras"):
            return _of_archive(path)
        return _of_weights(path, report)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except _BROKEN as error:
        raise ValueError(f"{path} is not a whole file of Keras 3: {error}") from None


def _of_archive(path: str | os.PathLike) -> list[Part]:
    h5py = needs.module("h5py")
    with zipfile.ZipFile(path) as archive:
        for name in ("config.json", "model.weights.h5"):
            if name not in archive.namelist():
                raise ValueError(f"{path} holds no {name}; expected a .keras file of Keras 3")
        if archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
            raise ValueError(f"{path}: its config.json is larger than any of Keras's")
        entry = archive.getinfo("model.weights.h5")
        if entry.file_size > 1000 * max(entry.compress_size, 1):
            raise ValueError(f"{path}: its weights would unpack to {entry.file_size} bytes")
        config = json.loads(archive.read("config.json"))
        with archive.open(entry) as packed:
            stored = entry.compress_type == zipfile.ZIP_STORED
            with h5py.File(packed if stored else io.BytesIO(packed.read()), "r") as file:
                return _parts(config, file, (path, _beginning(path, entry)) if stored else None)


def _beginning(path: str | os.PathLike, entry: zipfile.ZipInfo) -> int:
    """Where a stored entry's bytes begin: behind a header of 30 bytes, its name and extras."""
    with open(path, "rb") as file:
        file.seek(entry.header_offset + 26)
        lengths = file.read(4)
    return entry.header_offset + 30 + sum(struct.unpack("<HH", lengths))


def _parts(config: Any, file: Any, mapped: _Mapped | None) -> list[Part]:
    kind = config.get("class_name") if isinstance(config, dict) else None
    if kind != "Sequential":
        layers = [config]
        groups = [file]
    else:
        layers = config["config"]["layers"]
        groups = list(_groups(layers, file))
    return [
        Part(layer, [_array(d, mapped) for d in _datasets(group)])
        for layer, group in zip(layers, groups, strict=True)
    ]


def _groups(layers: list[Any], file: Any) -> Any:
    """The group of each layer: "layers/lstm", "layers/lstm_1", numbered for each kind."""
    seen: dict[str, int] = {}
    for layer in layers:
        kind = layer["class_name"]
        if kind == "InputLayer":
            yield None
            continue
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind).lower()
        number = seen.get(name, 0)
        seen[name] = number + 1
        yield file["layers"].get(f"{name}_{number}" if number else name)


def _of_weights(path: str | os.PathLike, report: Report) -> list[Part]:
    h5py = needs.module("h5py")
    with h5py.File(path, "r") as file:
        if "layers" not in file:
            raise ValueError(f"{path} holds no layers; expected a .weights.h5 file of Keras 3")
        groups = {name: file["layers"][name] for name in sorted(file["layers"], key=_numbered)}
        arrays = {
            name: [_array(d, (path, 0)) for d in _datasets(group)] for name, group in groups.items()
        }
        arrays = {name: own for name, own in arrays.items() if own}
        kinds = {_numbered(name)[0] for name in arrays}
        if len(kinds) > 1:
            raise ValueError(
                f"{path} has layers of several kinds, {sorted(kinds)}, and does not say in which "
                "order they stand; save the whole model with model.save('name.keras')"
            )
        report.add(f"{path} does not say which activations its network has: tanh and sigmoid")
        if len(arrays) > 1:
            names = ", ".join(arrays)
            report.add(f"{path} does not say what its layers read: taken as a stack, {names}")
        return [_plain(name, groups[name], own) for name, own in arrays.items()]


def _plain(name: str, group: Any, weights: list[np.ndarray]) -> Part:
    """An LSTM, or two, of which only the arrays are known."""
    both = "forward_layer" in group
    if len(weights) not in ((4, 6) if both else (2, 3)) or weights[1].ndim != 2:
        shapes = [list(a.shape) for a in weights]
        raise ValueError(
            f"{name} has arrays {shapes}, which is no single LSTM; save the whole model with "
            "model.save('name.keras')"
        )
    found = {"units": weights[1].shape[0], "name": name, "return_sequences": True}
    found["use_bias"] = len(weights) % 3 == 0
    inner = {"class_name": "LSTM", "config": found}
    if not both:
        return Part(inner, weights)
    backward = {"class_name": "LSTM", "config": dict(found)}
    options = {"layer": inner, "backward_layer": backward, "name": name}
    return Part({"class_name": "Bidirectional", "config": options}, weights)


def _numbered(name: str) -> tuple[str, int]:
    found = re.fullmatch(r"(.*?)(?:_(\d+))?", name)
    return (found[1], int(found[2] or 0)) if found else (name, 0)


def _datasets(group: Any, seen: set[Any] | None = None, depth: int = 0) -> Any:
    """All arrays of a group, in the order in which Keras reads them back.

    Raises:
      ValueError: a link leads elsewhere, or to what was there already.
    """
    h5py = needs.module("h5py")
    seen = set() if seen is None else seen
    if group is None:
        return
    if depth > _DEEPEST:
        raise ValueError(f"groups stand more than {_DEEPEST} deep, as Keras never writes them")
    first = ("forward_layer", "cell", "cells", "vars", "backward_layer")

    def place(name: str) -> tuple[int, tuple[str, int]]:
        return first.index(name) if name in first else len(first), _numbered(name)

    for name in sorted(group, key=place):
        if name == "seed_generator":
            continue
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{group.name}/{name} points to another file or place: not followed")
        item = group[name]
        place_in_file = h5py.h5o.get_info(item.id).addr
        if place_in_file in seen:
            raise ValueError(f"{group.name}/{name} is another name of what was there already")
        seen.add(place_in_file)
        if isinstance(item, h5py.Dataset):
            yield item
        else:
            yield from _datasets(item, seen, depth + 1)


def _array(dataset: Any, mapped: _Mapped | None) -> np.ndarray:
    """A dataset's numbers; a view of the file where they lie there as they are."""
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} is kept in another file: not followed")
    if dataset.dtype.kind not in "fV":
        raise ValueError(f"{dataset.name} holds {dataset.dtype}; expected floating-point numbers")
    stored, size = dataset.id.get_storage_size(), dataset.size * dataset.dtype.itemsize
    if size > 1000 * stored:
        raise ValueError(
            f"{dataset.name} says that it has shape {list(dataset.shape)}, but {stored} bytes of "
            "it are there"
        )
    if not dataset.dtype.isnative:
        return dataset[()].astype(dataset.dtype.newbyteorder("="))
    at = dataset.id.get_offset()
    if mapped is None or at is None or dataset.chunks or not dataset.size:
        return dataset[()]
    path, beginning = mapped
    return np.memmap(path, dataset.dtype, "r", beginning + at, dataset.shape)
