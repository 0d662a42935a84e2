"""Reads safetensors files of torch's weights. They hold tensors alone, and are memory-mapped."""

import os
from typing import TYPE_CHECKING

from jlstm.files import tensor_file
from jlstm.interop import needs

if TYPE_CHECKING:
    import torch


def read(path: str | os.PathLike) -> dict[str, "torch.Tensor"]:
    """The tensors of a file by name.

    Raises:
      ValueError: the file cannot be read, is damaged, or is a network that jlstm saved.
    """
    needs.module("torch")
    with tensor_file.bounded(path, "pt") as file:
        if (file.metadata() or {}).get("format") == tensor_file.FORMAT:
            raise ValueError(
                f"{path} is a network that jlstm saved; read it with jlstm.load(path), or in "
                "jlstm convert leave out --from torch"
            )
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
