"""Safetensors files of networks, of which nothing is read but what is asked for."""

import contextlib
import math
import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jlstm import validation
from jlstm.config import Config
from jlstm.files import aligned, config_toml

FORMAT = "jlstm"
VERSION = "1"
# Number formats that are kept, by the names that safetensors has for them.
KINDS = {"BF16": "bfloat16", "BOOL": "bool"}
KINDS |= {f"F{bits}": f"float{bits}" for bits in (16, 32, 64)}
KINDS |= {f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)}
KINDS |= {f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)}
_LONGEST = 1 << 20  # bytes of a header; that of a layer takes some 700
_PIECE = 1 << 22  # elements read at once


def metadata(config: Config) -> dict[str, str]:
    """What a file says of itself."""
    return {"format": FORMAT, "format_version": VERSION, "config": config_toml.dumps(config)}


def require_bounded(path: str | os.PathLike[str], start: bytes) -> None:
    """ValueError where the header of a file, whose first 8 bytes are given, is too long.

    All of a header is read before anything else is known, so that a small file might take long.
    """
    size = int.from_bytes(start, "little")
    if size > _LONGEST:
        raise ValueError(
            f"{path}: the header has {size} bytes, for the config and names of arrays; a file of "
            f"jlstm's has at most {_LONGEST}: some 1500 layers, or 10000 further arrays"
        )


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[Config, Any]]:
    """The config and the open file, of which nothing has been read but what it holds.

    Raises:
      ValueError: as `models.load`.
    """
    import safetensors

    try:
        with open(path, "rb") as raw:  # its errors say more than those of the reader below
            start, whole = raw.read(8), os.path.getsize(path)
        if int.from_bytes(start, "little") <= whole - 8:
            require_bounded(path, start)
        with (
            validation.plain_errors(),
            safetensors.safe_open(path, framework="numpy") as file,  # type: ignore[no-untyped-call]
        ):
            held = file.metadata() or {}
            if held.get("format") != FORMAT or "config" not in held:
                raise ValueError(
                    f"{path} is a safetensors file, but not one that jlstm wrote: its metadata "
                    "holds no jlstm config"
                )
            if held.get("format_version") != VERSION:
                raise ValueError(
                    f"{path} has format version {held.get('format_version')}; this jlstm reads "
                    f"version {VERSION}: install a newer jlstm"
                )
            try:
                config = config_toml.loads(held["config"])
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path} holds a config that cannot be used: {error}") from None
            yield config, file
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        words = validation.printable(str(error))
        raise ValueError(f"{path} is not a whole safetensors file: {words}") from None


def described(file: Any, name: str) -> tuple[tuple[int, ...], str]:
    """Shape and number format of a tensor, without reading it."""
    part = file.get_slice(name)
    kind: str = part.get_dtype()
    return tuple(part.get_shape()), KINDS.get(kind, kind)


def tensor(file: Any, name: str) -> jax.Array:
    """One tensor, read from the mapped file in pieces, straight into the array that JAX gets."""
    part = file.get_slice(name)
    shape = tuple(part.get_shape())
    if not shape or 0 in shape:
        return jnp.asarray(file.get_tensor(name))
    made = None
    rows = max(1, _PIECE * shape[0] // math.prod(shape))
    for start in range(0, shape[0], rows):
        piece = part[start : min(start + rows, shape[0])]
        if made is None:
            made = aligned.empty(shape, piece.dtype)
        made[start : start + rows] = piece
    assert made is not None
    return aligned.to_jax(made)
