"""Reads arrays from HDF5 files of Keras, which stores each array once and uncompressed."""

import functools
import math
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

from jlstm.interop import needs

# Where a file lists a model's layers; the second until Keras 2.14.
LISTS = ("layers", "_layer_checkpoint_dependencies")
HEADER = 64  # bytes; the superblock, with which a file begins, says where the file ends
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_DEEPEST = 16  # levels of nested groups; Keras writes some six
_LONGEST = 2000  # characters of a path
_LITTLE = 1 << 24  # bytes of texts that any file may have; there is one for each layer and variable
_MOST = 5000  # groups and arrays in total; a layer has some seven
# Keras reads these names in this order, and others after them.
_FIRST = ("forward_layer", "cell", "cells", "vars", "backward_layer")


def require_end(start: bytes, size: int) -> None:
    """ValueError if a file of `size` bytes goes on after the end that its first bytes claim.

    HDF5 itself would accept that, so zeros behind the end could be unpacked from very little.
    """
    known = start[:8] == _SIGNATURE and len(start) == HEADER
    version = start[8] if known else None
    # The end is a number of 8 bytes, at one of three places.
    at = {0: 40, 1: 44, 2: 28, 3: 28}.get(version) if version is not None else None
    if at is None or start[13 if version in (0, 1) else 9] != 8:
        raise ValueError("its weights are not a file of HDF5 as Keras writes it")
    end = int.from_bytes(start[at : at + 8], "little")
    if size > end:
        raise ValueError(f"its weights have {size} bytes, but end after {end}: save it anew")


class Reader:
    """Follows the links of one file, each of which must lead to a separate object in it."""

    def __init__(self, content: np.ndarray) -> None:
        """Args: content: the file's bytes, usually a memory map."""
        self.content = content
        self.room = content.nbytes  # bytes left for further arrays
        self.room_of_texts = max(_LITTLE, content.nbytes)
        self.seen: set[Any] = set()
        self.groups: set[str] = set()  # paths
        self.labels: dict[str, str] = {}  # the layers' names by path, as far as the file has them

    def inner(self, group: Any, name: str) -> Any:
        """The object `name` in a group, or None.

        Raises:
          ValueError: a link leads out of the file, or to an object that was read already.
        """
        h5py = needs.module("h5py")
        if not isinstance(group, h5py.Group) or name not in group:
            return None
        link: Any = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(
                f"{group.name}/{name} is a link to another file or place, which is not followed"
            )
        item = group[name]
        place = h5py.h5o.get_info(item.id).addr
        if place in self.seen:
            raise ValueError(
                f"{group.name}/{name} is a second link to the same object; expected one"
            )
        self.seen.add(place)
        if len(self.seen) > _MOST:
            raise ValueError(f"{group.name} and others hold more than {_MOST} arrays and groups")
        return item

    def datasets(self, group: Any, without: Collection[str] = ()) -> dict[str, Any]:
        """All datasets below a group by path, except those of the names `without` in it."""
        return dict(self._datasets(group, "", without))

    def _datasets(
        self, item: Any, path: str, without: Collection[str] = (), depth: int = 0
    ) -> Iterator[tuple[str, Any]]:
        h5py = needs.module("h5py")
        if depth > _DEEPEST:
            raise ValueError(
                f"groups are nested more than {_DEEPEST} deep, which Keras never writes"
            )
        if isinstance(item, h5py.Dataset):
            yield path, item
            return
        if not isinstance(item, h5py.Group):
            return
        if len(item) > _MOST:
            raise ValueError(f"{item.name} holds {len(item)} arrays; expected at most {_MOST}")
        self.groups.add(path)
        label = self.attribute(item, "name") if path.endswith("vars") else None
        if isinstance(label, str):
            self.labels[path[: -len("/vars")]] = label[:_LONGEST]
        for name in item:
            if name != "seed_generator" and name not in without:
                inner = f"{path}/{name}" if path else name
                if len(inner) > _LONGEST:
                    raise ValueError(f"{inner} is longer than any path of Keras")
                yield from self._datasets(self.inner(item, name), inner, depth=depth + 1)

    def attribute(self, item: Any, name: str) -> Any:
        """An attribute of a group or file; None if it has none of this name.

        Raises:
          ValueError: it could be much larger than the file. HDF5 stores texts of variable length
            elsewhere, and many texts may be the same bytes.
        """
        if name not in item.attrs:
            return None
        held = item.attrs.get_id(name)
        if not held.dtype.hasobject:
            return item.attrs[name]
        most = math.prod(held.shape) * self._longest_text
        if needs.module("h5py").check_string_dtype(held.dtype) is None or most > self.room_of_texts:
            raise ValueError(
                f"the attribute {name} of {item.name} has texts or lists in it that may take much "
                f"more memory than the file, {list(held.shape)} of them; expected names"
            )
        value = item.attrs[name]
        self.room_of_texts -= sum(map(len, [value] if isinstance(value, str) else np.ravel(value)))
        return value

    @functools.cached_property
    def _longest_text(self) -> int:
        """Bytes that a text of variable length has at most: the size of the heap that holds it."""
        heaps = re.finditer(rb"GCOL.{4}(.{8})", self.content, re.DOTALL)  # type: ignore[call-overload]
        return max((int.from_bytes(found[1], "little") for found in heaps), default=0)

    def array(self, dataset: Any) -> np.ndarray:
        """A dataset's array; a view of the file if the numbers are stored contiguously."""
        if dataset.external or dataset.is_virtual:
            raise ValueError(f"{dataset.name} is stored in another file, which is not followed")
        if dataset.dtype.kind not in "fV":
            raise ValueError(
                f"{dataset.name} holds {dataset.dtype}; expected floating-point numbers"
            )
        if dataset.dtype.kind == "f":
            plain = needs.module("h5py").h5t.py_create(dataset.dtype)
            if not dataset.id.get_type().equal(plain):
                raise ValueError(
                    f"{dataset.name} holds numbers in a format of its own; expected one of IEEE"
                )
        if dataset.id.get_create_plist().get_nfilters():
            raise ValueError(f"{dataset.name} is compressed, which Keras never does")
        stored, size = dataset.id.get_storage_size(), dataset.size * dataset.dtype.itemsize
        self.room -= size
        if size > stored or self.room < 0:
            raise ValueError(
                f"{dataset.name} has shape {list(dataset.shape)}, but the file holds only {stored} "
                "bytes of it"
            )
        if not dataset.dtype.isnative:
            return dataset[()].astype(dataset.dtype.newbyteorder("="))
        at = dataset.id.get_offset()
        if at is None or dataset.chunks or not dataset.size:
            return dataset[()]
        return np.ndarray(dataset.shape, dataset.dtype, self.content, at)


def ordered(paths: Iterable[str]) -> list[str]:
    """Paths in the order in which Keras reads arrays."""

    def place(path: str) -> list[tuple[int, tuple[str, int]]]:
        return [
            (_FIRST.index(name) if name in _FIRST else len(_FIRST), numbered(name))
            for name in path.split("/")
        ]

    return sorted(paths, key=place)


def numbered(name: str) -> tuple[str, int]:
    """A layer's name and number: ("lstm", 1) for "lstm_1"; the number is 0 if it has none."""
    found = re.fullmatch(r"(.*?)(?:_(\d{1,6}))?", name)
    return (found[1], int(found[2] or 0)) if found else (name, 0)
