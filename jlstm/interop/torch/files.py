"""Reads files of torch.save. No code in them runs, and all claimed sizes are checked."""

import collections
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jlstm.interop import needs

_LARGEST_RECORD = 1 << 20  # bytes outside the tensors' data; a tensor needs some 100


class _Program(Exception):
    """A file holds a program of TorchScript."""


def read(path: str | os.PathLike) -> Any:
    """The content of a file: tensors in mappings and lists.

    Raises:
      ValueError: the file cannot be read, is damaged, holds a program or other objects.
    """
    torch = needs.module("torch")
    try:
        sizes = _sizes(path)
        made = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        _check_storages(made, sizes)
        return made
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except _Program:
        load = f'torch.jit.load({str(path)!r}, map_location="cpu")'
        raise ValueError(
            f"{path} is a program of TorchScript, which torch.jit.save wrote. If you trust it, load "
            "it in torch, and convert a file of its state dict: "
            f'torch.save({load}.state_dict(), "weights.pt")'
        ) from None
    except Exception as error:  # a damaged file can make torch's reader raise anything
        if "Unsupported global" in str(error) or "Unsupported class" in str(error):
            why = "it holds objects, perhaps a whole module; loading them would run their code"
        else:
            why = ascii(str(error).strip().partition("\n")[0])[1:-1]
        raise ValueError(
            f"{path} is not a file of tensors; expected one that torch.save(module.state_dict(), "
            f"path) wrote, in torch 1.6 or newer: {why}"
        ) from None


def require_room(path: str | os.PathLike, tensors: Iterable[Any]) -> None:
    """ValueError if tensors are larger than their file, as expanded tensors can be."""
    claimed, size = sum(tensor.nbytes for tensor in tensors), os.path.getsize(path)
    if claimed > size:
        raise ValueError(
            f"{path} has {size} bytes, but its LSTM's weights would take {claimed}: they are "
            "expanded or share memory; save a clone() of each"
        )


def _sizes(path: str | os.PathLike) -> collections.Counter[int]:
    """The sizes of the tensor data in an archive.

    Raises:
      ValueError: it is compressed, or has much content besides tensors.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise _Program
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it is compressed, which torch.save never does")
    size = sum(entry.file_size for entry in entries if "/data/" not in entry.filename)
    if size > _LARGEST_RECORD:
        raise ValueError(
            f"it has {size} bytes besides its tensors; expected at most {_LARGEST_RECORD}: save "
            "only the LSTM's state dict"
        )
    return collections.Counter(e.file_size for e in entries if "/data/" in e.filename)


def _check_storages(state: Any, sizes: collections.Counter[int]) -> None:
    """ValueError if tensors claim more bytes than the file, which torch maps, has for them."""
    torch = needs.module("torch")
    seen: set[int] = set()  # a pickle may contain an object many times

    def tensors(value: Any) -> Iterator[Any]:
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (Mapping, list, tuple)):
            for part in value.values() if isinstance(value, Mapping) else value:
                yield from tensors(part)

    # Sparse tensors and meta tensors are never read as weights.
    plain = [t for t in tensors(state) if t.layout == torch.strided and not t.is_meta]
    storages = [tensor.untyped_storage() for tensor in plain]
    claimed = {storage.data_ptr(): storage.nbytes() for storage in storages if storage.nbytes()}
    if not collections.Counter(claimed.values()) <= sizes:
        raise ValueError("its tensors do not have the sizes that it claims")
