"""Reads the files of Keras without Keras. No code in them ever runs."""

import io
import os
import shutil
import zipfile
from typing import Any

import numpy as np

from jlstm.files import archives, contents, regular
from jlstm.interop import needs
from jlstm.interop.keras import checkpoints, choice, grouped, hdf5, legacy, options, tree
from jlstm.interop.keras.grouped import Grouped
from jlstm.interop.keras.hdf5 import Reader
from jlstm.interop.keras.parts import Part
from jlstm.interop.report import Report

# Errors of the zip and HDF5 readers for missing or changed bytes.
_BROKEN = (zipfile.BadZipFile, RuntimeError, KeyError, EOFError, TypeError, AttributeError)
_BROKEN += (IndexError, OverflowError)
_PIECE = 1 << 20  # bytes unpacked at once


def read(path: str | os.PathLike, layer: list[str] | None, report: Report) -> list[Part]:
    """The LSTMs of a file that `layer` names, or all, lowest first, and the Dropouts between them.

    Raises:
      ValueError: the file is truncated or not one of Keras, or its LSTMs cannot be chosen.
    """
    try:
        regular.require(path)
        if checkpoints.is_checkpoint(path):
            found = checkpoints.leaves(path, report, chosen=layer is not None)
            return choice.parts(found, layer, report, str(path))
        contents.require(path, "a file of Keras", "keras", "hdf5", "zip")
        with open(path, "rb") as file:
            archive = file.read(4) == b"PK\3\4"
        return (_of_archive if archive else _of_hdf5)(path, layer, report)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except _BROKEN as error:
        raise ValueError(f"{path} is damaged or not a file of Keras: {error}") from None


def _of_archive(path: str | os.PathLike, layer: list[str] | None, report: Report) -> list[Part]:
    h5py = needs.module("h5py")
    with archives.opened(path) as archive:
        for name in ("config.json", "model.weights.h5"):
            if name not in archive.namelist():
                raise ValueError(f"{path} holds no {name}; expected a .keras file")
        info = archive.getinfo("model.weights.h5")
        archives.require_room(path, info)
        serialized = _config(path, archive)
        if info.compress_type == zipfile.ZIP_STORED:
            whole = np.memmap(path, np.uint8, "r")
            at = archives.beginning(whole, info)
            content = whole[at : at + info.file_size]
            hdf5.require_end(content[: hdf5.HEADER].tobytes(), info.file_size)
            opened: Any = archive.open(info)
        else:
            opened = io.BytesIO()
            with archives.entry(archive, info) as packed:
                opened.write(packed.read(hdf5.HEADER))
                hdf5.require_end(opened.getvalue(), info.file_size)
                shutil.copyfileobj(packed, opened, _PIECE)
            content = np.frombuffer(opened.getbuffer(), np.uint8)
        with h5py.File(opened, "r") as file:
            return _chosen(path, file, Reader(content), serialized, layer, report)


def _of_hdf5(path: str | os.PathLike, layer: list[str] | None, report: Report) -> list[Part]:
    with needs.module("h5py").File(path, "r") as file:
        return _chosen(path, file, Reader(np.memmap(path, np.uint8, "r")), None, layer, report)


def _chosen(
    path: str | os.PathLike,
    file: Any,
    reader: Reader,
    serialized: Any,
    layer: list[str] | None,
    report: Report,
) -> list[Part]:
    """The chosen LSTMs of a file of groups. `serialized` is the network, as far as known."""
    if serialized is None and legacy.is_legacy(file, reader):
        found = legacy.leaves(file, reader, report, str(path), chosen=layer is not None)
        return choice.parts(found, layer, report, str(path))
    place = Grouped(reader, reader.datasets(file, without=("optimizer",)))
    if serialized is None or _unknown(Part(serialized, [])):
        found = grouped.leaves(place, report, str(path), chosen=layer is not None)
    else:
        found = tree.leaves(serialized, place)
    return choice.parts(found, layer, report, str(path))


def _unknown(part: Part) -> bool:
    """Whether it is a model that does not say which layers it has, as models with a call do."""
    return part.custom and not part.is_lstm and not isinstance(part.options.get("layers"), list)


def _config(path: str | os.PathLike, archive: zipfile.ZipFile) -> Any:
    """The serialised network."""

    def held(name: str) -> bytes:
        info = archive.getinfo(name)
        options.require_small(info.file_size, f"{path}: its {name}")
        with archives.entry(archive, info) as file:
            return file.read()

    metadata: Any = {}
    if "metadata.json" in archive.namelist():
        metadata = options.loaded(held("metadata.json"), f"{path}: its metadata.json")
    version = metadata.get("keras_version", "3") if isinstance(metadata, dict) else None
    major = options.major(version, str(path))
    return options.loaded(held("config.json"), f"{path}: its config.json", major)
