"""Reads files of torch.save. No code in them runs, and all claimed sizes are checked."""

import contextlib
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from jlstm import validation
from jlstm.files import archives, contents, regular
from jlstm.interop import needs
from jlstm.interop.torch import pickles
from jlstm.interop.torch.objects import RefusedError, Skipped, Tensor

_LARGEST_RECORD = 1 << 20  # bytes outside the tensors' data; a tensor needs some 100
_EARLIER = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files of torch before 1.6 begin
# The types of storages by their names in torch.
_DTYPES = {"Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16"}
_DTYPES |= {"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8"}
_DTYPES |= {"Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128"}
_DTYPES = {f"torch.{name}Storage": dtype for name, dtype in _DTYPES.items()}
_DTYPES["torch.storage.UntypedStorage"] = "uint8"


def read(path: str | os.PathLike) -> Any:
    """The content of a file: tensors in mappings and lists.

    Raises:
      ValueError: the file cannot be read, is damaged, or holds a program or other objects.
    """
    needs.module("torch")
    contents.require(path, "a file of tensors", "torch", "zip")
    with _readable(path):
        regular.require(path)
        _require_newer(path)
        with archives.opened(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            program = any(name.endswith("/constants.pkl") for name in entries)
            if not program:
                root = _root(entries)
                _require_plain(entries, root)
                order = f"{root}byteorder"
                if order in entries and archive.read(order) != b"little":
                    raise ValueError(
                        "its numbers are big-endian; save it again on a machine that is not"
                    )
                data = archive.read(f"{root}data.pkl")
    if program:
        raise ValueError(
            f"{path} is a program of TorchScript, which torch.jit.save wrote. If you trust it, "
            "load it in torch, and convert a file of its state dict: "
            f'torch.save(torch.jit.load({str(path)!r}, "cpu").state_dict(), "weights.pt")'
        )
    with _readable(path):
        made = pickles.loads(data, _tensors(path, root, entries), _is_plain)
        if isinstance(made, Skipped):
            raise ValueError(f"it holds an object of {made.name} alone")
    return made


@contextlib.contextmanager
def _readable(path: str | os.PathLike) -> Iterator[None]:
    """Turns errors into ValueErrors that say what the file is, and what to do."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # a damaged pickle can raise many
        why = validation.printable(_words(error)) or type(error).__name__
        raise ValueError(
            f"{path} is not a file of tensors; expected one that torch.save(module.state_dict(), "
            f"path) wrote, in torch 1.6 or newer: {why}"
        ) from None


def _words(error: Exception) -> str:
    """What an error tells."""
    if isinstance(error, RefusedError):
        return (
            f"it holds an object of {error.args[0]:.100}, whose code is not run. If you trust the "
            "file, run in Python where that class is defined: held = torch.load(path, "
            'weights_only=False); torch.save(held.state_dict(), "weights.pt"). For a checkpoint of '
            'Lightning, save held["state_dict"] instead. Then convert weights.pt'
        )
    return str(error).strip().partition("\n")[0][:500]


def require_room(path: str | os.PathLike, tensors: Iterable[Any]) -> None:
    """ValueError if tensors are larger than their file, as expanded tensors can be."""
    # Not tensor.nbytes: 2**64 bytes would be 0.
    claimed = sum(math.prod(tensor.shape) * tensor.element_size() for tensor in tensors)
    size = os.path.getsize(path)
    if claimed > size:
        raise ValueError(
            f"{path} has {size} bytes, but its LSTM's weights would take {claimed}: they are "
            "expanded or share memory; save a clone() of each"
        )


def _require_newer(path: str | os.PathLike) -> None:
    with open(path, "rb") as file:
        start = file.read(len(_EARLIER))
    if start == _EARLIER:
        raise ValueError(
            "torch before 1.6 wrote it; write it anew with a newer torch: "
            f'torch.save(torch.load({str(path)!r}, "cpu", weights_only=True), "weights.pt")'
        )


def _root(entries: Iterable[str]) -> str:
    """The folder in an archive that holds everything."""
    return next((n[:-8] for n in entries if re.fullmatch(r"[^/]+/data\.pkl", n)), "archive/")


def _require_plain(entries: Mapping[str, zipfile.ZipInfo], root: str) -> None:
    """ValueError if an archive is compressed, or has much content besides tensors."""
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
        raise ValueError("it is compressed, which torch.save never does")
    size = sum(entry.file_size for n, entry in entries.items() if not n.startswith(f"{root}data/"))
    if size > _LARGEST_RECORD:
        raise ValueError(
            f"it has {size} bytes besides its tensors; expected at most {_LARGEST_RECORD}: save "
            "only the LSTM's state dict"
        )


def _is_plain(name: str) -> bool:
    """Whether a name is that of a dtype, a storage or a small class of torch."""
    torch = needs.module("torch")
    if name in ("torch.Size", "torch.device", "torch.Tensor", "torch.nn.parameter.Parameter"):
        return True
    found = vars(torch).get(name.removeprefix("torch."))
    plain = (torch.dtype, torch.qscheme, torch.layout, torch.memory_format)
    return isinstance(found, plain) or (found is not None and name.endswith("Storage"))


def _tensors(
    path: str | os.PathLike, root: str, entries: Mapping[str, zipfile.ZipInfo]
) -> Callable[[Tensor], Any]:
    """A function that makes the tensors of a file, which are views of it."""
    torch = needs.module("torch")
    whole = np.memmap(path, np.uint8, "c")
    places: dict[str, int] = {}

    def place(key: str) -> int:
        if key not in places:
            places[key] = archives.beginning(whole, entries[key])
        return places[key]

    def tensor(of: Tensor) -> Any:
        stored = _DTYPES.get(of.storage.kind)
        if stored is None:
            raise ValueError(f"a tensor in it has the data of a {of.storage.kind}")
        key, dtype = f"{root}data/{of.storage.key}", getattr(torch, stored)
        size = of.storage.size * dtype.itemsize
        if key not in entries or size != entries[key].file_size:
            raise ValueError("its tensors do not have the sizes that it claims")
        if of.dtype:
            dtype = vars(torch).get(of.dtype.removeprefix("torch."))
            if not isinstance(dtype, torch.dtype):
                raise ValueError(f"a tensor in it has the dtype {of.dtype!r:.80}")
        count = size // dtype.itemsize
        data = torch.empty(0, dtype=dtype)
        if count:
            data = torch.frombuffer(whole, dtype=dtype, count=count, offset=place(key))
        return data.as_strided(of.shape, of.strides, of.offset)

    return tensor
