"""Files that torch.save wrote: nothing in them runs, and they hold as much as they claim."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from jlstm.interop import needs


def read(path: str | os.PathLike) -> Any:
    """What a file holds: tensors, in mappings and lists.

    Raises:
      ValueError: it cannot be read, holds other things, or is not whole.
    """
    torch = needs.module("torch")
    try:
        made = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        _check_storages(path, made)
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


def _check_storages(path: str | os.PathLike, state: Any) -> None:
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

    storages = [tensor.untyped_storage() for tensor in tensors(state)]
    claimed = {storage.data_ptr(): storage.nbytes() for storage in storages if storage.nbytes()}
    with zipfile.ZipFile(path) as archive:
        sizes = [e.file_size for e in archive.infolist() if "/data/" in e.filename]
    if sorted(claimed.values()) != sorted(size for size in sizes if size):
        raise ValueError("its tensors do not have the sizes that it says")
