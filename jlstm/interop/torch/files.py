"""Reads files of torch.save. No code in them runs, and all claimed sizes are checked."""

import collections
import contextlib
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jlstm import validation
from jlstm.interop import needs

_LARGEST_RECORD = 1 << 20  # bytes outside the tensors' data; a tensor needs some 100
_EARLIER = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files of torch before 1.6 begin


def read(path: str | os.PathLike) -> Any:
    """The content of a file: tensors in mappings and lists.

    Raises:
      ValueError: the file cannot be read, is damaged, or holds a program or other objects.
    """
    torch = needs.module("torch")
    with _readable(path):
        entries = _entries(path)
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise ValueError(
            f"{path} is a program of TorchScript, which torch.jit.save wrote. If you trust it, "
            "load it in torch, and convert a file of its state dict: "
            f'torch.save(torch.jit.load({str(path)!r}, "cpu").state_dict(), "weights.pt")'
        )
    with _readable(path):
        sizes = _sizes(entries)
        made = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        _check_storages(made, sizes)
    return made


@contextlib.contextmanager
def _readable(path: str | os.PathLike) -> Iterator[None]:
    """Turns errors into ValueErrors that say what the file is, and what to do."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # a damaged file can make torch's reader raise anything
        why = validation.printable(_words(str(error)) or type(error).__name__)
        raise ValueError(
            f"{path} is not a file of tensors; expected one that torch.save(module.state_dict(), "
            f"path) wrote, in torch 1.6 or newer: {why}"
        ) from None


def _words(error: str) -> str:
    """What the message of an error of torch's reader tells."""
    # The words of torch 2.0 to 2.3, of later versions, and of later versions for modules like os.
    known = r"(?:Unsupported class|Unsupported global: GLOBAL|unsupported GLOBAL) (\S{1,100})"
    if refused := re.search(known, error):
        return (
            f"it holds an object of {refused[1]}, whose code is not run. If you trust the file, "
            "load it in torch where that class is defined, by held = torch.load(path, "
            "weights_only=False), and save the state dict alone: torch.save(held, path), where "
            'held["state_dict"] takes the place of held for a checkpoint of Lightning, and '
            "held.state_dict() for a whole module"
        )
    inner = re.search(r"WeightsUnpickler error:\s*(.*)", error)
    return inner[1] if inner else error.strip().partition("\n")[0]


def require_room(path: str | os.PathLike, tensors: Iterable[Any]) -> None:
    """ValueError if tensors are larger than their file, as expanded tensors can be."""
    claimed, size = sum(tensor.nbytes for tensor in tensors), os.path.getsize(path)
    if claimed > size:
        raise ValueError(
            f"{path} has {size} bytes, but its LSTM's weights would take {claimed}: they are "
            "expanded or share memory; save a clone() of each"
        )


def _entries(path: str | os.PathLike) -> list[zipfile.ZipInfo]:
    with open(path, "rb") as file:
        start = file.read(len(_EARLIER))
    if start == _EARLIER:
        raise ValueError(
            "torch before 1.6 wrote it; write it anew with a newer torch: "
            f'torch.save(torch.load({str(path)!r}, "cpu", weights_only=True), "weights.pt")'
        )
    with zipfile.ZipFile(path) as archive:
        return archive.infolist()


def _sizes(entries: Sequence[zipfile.ZipInfo]) -> collections.Counter[int]:
    """The sizes of the tensor data in an archive.

    Raises:
      ValueError: it is compressed, or has much content besides tensors.
    """
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
