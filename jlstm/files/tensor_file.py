"""Reads safetensors files of networks, one tensor at a time."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jlstm import validation
from jlstm.config import Config
from jlstm.files import aligned, config_toml, contents, regular

FORMAT = "jlstm"
VERSION = "1"
# Supported dtypes by their safetensors names.
KINDS = {"BF16": "bfloat16", "BOOL": "bool"}
KINDS |= {f"F{bits}": f"float{bits}" for bits in (16, 32, 64)}
KINDS |= {f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)}
KINDS |= {f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)}
_NOTE = "note."  # before the names of notes in the metadata
_LONGEST = 1 << 20  # bytes of a header; a layer takes some 700
_PIECE = 1 << 22  # elements read at once


def metadata(config: Config, notes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The metadata of a file.

    Raises:
      TypeError, ValueError: a note's name or text is not a string that a file can hold.
    """
    made = {"format": FORMAT, "format_version": VERSION, "config": config_toml.dumps(config)}
    if not isinstance(notes or {}, Mapping):
        raise TypeError(
            f"notes is {type(notes).__name__}; expected texts by name: notes={{'author': 'me'}}"
        )
    for name, text in (notes or {}).items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(
                f"notes holds {validation.shown(name)}: {validation.shown(text)}; expected a "
                "string for a string; write other values as JSON"
            )
        try:
            f"{name}{text}".encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"notes holds {validation.shown(name)}: {validation.shown(text)}, which has halves "
                "of characters; expected text that UTF-8 can hold"
            ) from None
        made[_NOTE + name] = text
    return made


def notes(file: Any) -> dict[str, str]:
    """The notes of an open file, by name."""
    held = (file.metadata() or {}).items()
    return {key.removeprefix(_NOTE): text for key, text in held if key.startswith(_NOTE)}


def require_bounded(path: str | os.PathLike[str], start: bytes) -> None:
    """ValueError if a file's header is too long. `start` is the file's first 8 bytes.

    The whole header is parsed before anything else, so a long one would take much time.
    """
    size = int.from_bytes(start, "little")
    if size > _LONGEST:
        raise ValueError(
            f"{path}: the header (the config, notes and the names of arrays) has {size} bytes; "
            f"expected at most {_LONGEST}, enough for some 1500 layers or 10000 further arrays"
        )


@contextlib.contextmanager
def bounded(path: str | os.PathLike[str], framework: str) -> Iterator[Any]:
    """Any safetensors file, open, whose header is bounded. No tensor has been read yet.

    Raises:
      ValueError: the file cannot be read, or is not a whole safetensors file.
    """
    import safetensors

    contents.require(path, "a whole safetensors file", "safetensors")
    try:
        regular.require(path)
        with open(path, "rb") as raw:  # its errors are clearer than those of safe_open
            start, whole = raw.read(8), os.path.getsize(path)
        if int.from_bytes(start, "little") <= whole - 8:
            require_bounded(path, start)
        with safetensors.safe_open(path, framework=framework) as file:  # type: ignore[no-untyped-call]
            yield file
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        words = validation.printable(str(error))
        raise ValueError(f"{path} is not a whole safetensors file: {words}") from None


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[Config, Any]]:
    """The config and the open file. No tensor has been read yet.

    Raises:
      ValueError: for the same reasons as `models.load`.
    """
    with bounded(path, "numpy") as file, validation.plain_errors(path):
        held = file.metadata() or {}
        if held.get("format") != FORMAT or "config" not in held:
            raise ValueError(
                f"{path} is a safetensors file, but jlstm did not write it: its metadata has "
                "no jlstm config; convert torch's weights by jlstm.interop.from_torch(path) or "
                "jlstm convert --from torch"
            )
        if (written := str(held.get("format_version"))) != VERSION:
            raise ValueError(
                f"{path} has format version {validation.shortened(written)}, but "
                f"this jlstm reads version {VERSION}; install a newer jlstm"
            )
        try:
            config = config_toml.loads(held["config"])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} holds a config that cannot be used: {error}") from None
        yield config, file


def described(file: Any, name: str) -> tuple[tuple[int, ...], str]:
    """The shape and dtype of a tensor, without reading its data."""
    part = file.get_slice(name)
    kind: str = part.get_dtype()
    return tuple(part.get_shape()), KINDS.get(kind, kind)


def tensor(file: Any, name: str) -> jax.Array:
    """One tensor, read from the mapped file in pieces into the memory that JAX will use."""
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
