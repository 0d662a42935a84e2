"""Reads safetensors files of torch's weights. They hold tensors alone, and are memory-mapped."""

import os
from typing import TYPE_CHECKING

from jlstm import validation
from jlstm.files import tensor_file
from jlstm.interop import needs

if TYPE_CHECKING:
    import torch


def read(path: str | os.PathLike) -> dict[str, "torch.Tensor"]:
    """The tensors of a file by name.

    Raises:
      ValueError: the file cannot be read, is damaged, or is a network that jlstm saved.
    """
    safetensors = needs.module("safetensors")
    needs.module("torch")
    try:
        with open(path, "rb") as raw:
            start, whole = raw.read(8), os.path.getsize(path)
        if int.from_bytes(start, "little") <= whole - 8:
            tensor_file.require_bounded(path, start)
        with safetensors.safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("format") == tensor_file.FORMAT:
                raise ValueError(
                    f"{path} is a network that jlstm saved; read it with jlstm.load(path), or in "
                    "jlstm convert leave out --from torch"
                )
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        words = validation.printable(str(error))
        raise ValueError(f"{path} is not a whole safetensors file: {words}") from None
