"""Keras archives (.keras) whose bytes depend on the model alone."""

import io
import json
import pathlib
import zipfile
from typing import Any

# Of the members of the archive, and the date that Keras notes in its metadata.
_TIME = (1980, 1, 1, 0, 0, 0)
_DATE = "1980-01-01@00:00:00"


def rewrite(path: pathlib.Path) -> None:
    """Rewrites an archive that Keras saved.

    Keras writes the time of saving, and the addresses that objects had in memory as their ids.
    Times become a fixed one. Ids are counted from 1; objects with equal ids keep equal ids.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == "metadata.json":
                content = json.dumps(json.loads(content) | {"date_saved": _DATE}).encode()
            elif member.filename == "config.json":
                content = json.dumps(_counted(json.loads(content), {})).encode()
            fresh = zipfile.ZipInfo(member.filename, _TIME)
            fresh.compress_type, fresh.external_attr = member.compress_type, member.external_attr
            new.writestr(fresh, content)
    path.write_bytes(made.getvalue())


def keep_weights(path: pathlib.Path) -> None:
    """Replaces an archive that Keras saved by the .weights.h5 file in it.

    It holds what `save_weights` of Keras writes. But Keras makes this one in memory: where a disk
    is full, HDF5 prints one error per object, and may end the process.
    """
    with zipfile.ZipFile(path) as archive:
        content = archive.read("model.weights.h5")
    path.write_bytes(content)


def _counted(value: Any, ids: dict[int, int]) -> Any:
    """A config whose ids of shared objects are counted from 1. `ids` has those found so far."""
    if isinstance(value, list):
        return [_counted(each, ids) for each in value]
    if isinstance(value, dict):
        return {
            name: ids.setdefault(each, len(ids) + 1)
            if name == "shared_object_id" and each is not None
            else _counted(each, ids)
            for name, each in value.items()
        }
    return value
