"""Files that torch.save wrote: nothing in them runs, and they hold as much as they claim."""

import collections
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from jlstm.interop import needs

_LARGEST_RECORD = 1 << 20  # bytes of all but the tensors; a tensor's name and shape take some 100


def read(path: str | os.PathLike) -> Any:
    """What a file holds: tensors, in mappings and lists.

    Raises:
      ValueError: it cannot be read, holds other things, or is not whole.
    """
    torch = needs.module("torch")
    try:
        sizes = _sizes(path)
        made = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        _check_storages(made, sizes)
        return made
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # torch's reader raises whatever a changed byte leads to
        if "Unsupported global" in str(error) or "Unsupported class" in str(error):
            why = "it holds objects, perhaps a whole module, which to load would be to run code"
        else:
            why = ascii(str(error).strip().partition("\n")[0])[1:-1]
        raise ValueError(
            f"{path} is not a file of tensors as torch.save(module.state_dict(), path) writes it, "
            f"by a version of torch since 1.6: {why}"
        ) from None


def require_room(path: str | os.PathLike, arrays: Iterable[np.ndarray]) -> None:
    """ValueError where arrays are larger than their file: one number may stand for many."""
    claimed, size = sum(array.nbytes for array in arrays), os.path.getsize(path)
    if claimed > size:
        raise ValueError(
            f"{path} has {size} bytes, but its LSTM's weights would have {claimed}, as they are "
            "expanded or share memory; save a clone() of each"
        )


def _sizes(path: str | os.PathLike) -> collections.Counter[int]:
    """The sizes of what an archive holds for tensors.

    Raises:
      ValueError: it is packed, or holds much besides tensors.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it is packed, as torch.save never does")
    size = sum(entry.file_size for entry in entries if "/data/" not in entry.filename)
    if size > _LARGEST_RECORD:
        raise ValueError(
            f"it has {size} bytes besides its tensors; expected at most {_LARGEST_RECORD}, so save "
            "the LSTM's own state dict alone"
        )
    return collections.Counter(e.file_size for e in entries if "/data/" in e.filename)


def _check_storages(state: Any, sizes: collections.Counter[int]) -> None:
    """ValueError where tensors claim more bytes than the file has for them, which torch maps."""
    torch = needs.module("torch")
    seen: set[int] = set()  # what a pickle shares is there once

    def tensors(value: Any) -> Iterator[Any]:
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (Mapping, list, tuple)):
            for part in value.values() if isinstance(value, Mapping) else value:
                yield from tensors(part)

    # Sparse tensors and those without numbers are never read as weights.
    plain = [t for t in tensors(state) if t.layout == torch.strided and not t.is_meta]
    storages = [tensor.untyped_storage() for tensor in plain]
    claimed = {storage.data_ptr(): storage.nbytes() for storage in storages if storage.nbytes()}
    if not collections.Counter(claimed.values()) <= sizes:
        raise ValueError("its tensors do not have the sizes that it says")
