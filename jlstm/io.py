"""Models as single safetensors files, the config in their metadata."""

import contextlib
import math
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm import aligned, arguments, config_toml
from jlstm.config import Config, require_config
from jlstm.params import Params, init

FORMAT = "jlstm"
VERSION = "1"
_PIECE = 1 << 22  # elements read at once


def save(
    path: str | os.PathLike[str],
    config: Config,
    params: Params,
    *,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Writes a network to one .safetensors file, beside its place first and then renamed into it.

    Args:
      path: the file; one that is there is replaced.
      config: the network, kept as TOML in the file's metadata.
      params: its parameters, kept as tensors named like "layers.0.w_x".
      extra: further arrays to keep, such as the readout above the network; names must not begin
        with "layers.". `jlstm.io.load_extra` reads them.

    Raises:
      TypeError, ValueError: params do not fit config, the config's initializer is a function, or
        a name of `extra` is taken.
      OSError: the file cannot be written.
    """
    import safetensors.numpy

    require_config(config)
    arguments.params(config, params)
    tensors = named(params)
    for name, array in (extra or {}).items():
        if name.startswith("layers."):
            raise ValueError(f"extra holds {name!r}, but names in 'layers.' are the network's own")
        if np.asarray(array).dtype.kind not in "biufV":
            raise TypeError(f"extra holds {name!r}, which is {array!r:.60}; expected an array")
        tensors[name] = array
    metadata = {"format": FORMAT, "format_version": VERSION, "config": config_toml.dumps(config)}
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_whole(path, safetensors.numpy.save(arrays, metadata))


def load(path: str | os.PathLike[str]) -> tuple[Config, Params]:
    """Reads what `save` wrote: the config, and parameters equal to those saved.

    Raises:
      ValueError: the file is not there, truncated, not a safetensors file, not one of this
        library's, of a later format, or its tensors do not fit its config.
    """
    with _opened(path) as (config, file):
        shapes = jax.eval_shape(lambda: init(jax.random.key(0), config))
        expected = named(shapes)
        found = {name for name in file.keys() if name.startswith("layers.")}  # noqa: SIM118
        if found != set(expected):
            missing, surplus = set(expected) - found, found - set(expected)
            raise ValueError(
                f"{path} does not hold the tensors its config asks for; missing: "
                f"{sorted(missing) or 'none'}, not asked for: {sorted(surplus) or 'none'}"
            )
        for name, wanted in expected.items():
            shape, dtype = _described(file, name)
            if (shape, dtype) != (wanted.shape, wanted.dtype):
                raise ValueError(
                    f"{path}: tensor {name} is {dtype}{list(shape)}, its config asks for "
                    f"{wanted.dtype}{list(wanted.shape)}"
                )
        leaves = [_tensor(file, name) for name in expected]
    return config, jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def load_extra(path: str | os.PathLike[str]) -> dict[str, jax.Array]:
    """The arrays that `save` was given as `extra`, by name; errors as those of `load`."""
    with _opened(path) as (_, file):
        names = [name for name in file.keys() if not name.startswith("layers.")]  # noqa: SIM118
        return {name: _tensor(file, name) for name in names}


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file so that it is there whole or not at all."""
    through(path, lambda beside: beside.write_bytes(content))


def through(
    path: str | os.PathLike[str], write: Callable[[pathlib.Path], Any], ending: str = ""
) -> None:
    """Lets `write` make a file beside `path`, whose name has that ending, and renames it."""
    path = pathlib.Path(path)
    handle, name = tempfile.mkstemp(ending, f".{path.name}.", path.parent)
    os.close(handle)
    beside = pathlib.Path(name)
    try:
        write(beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        beside.chmod(0o666 & ~mask)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[Config, Any]]:
    """The config and the open file, of which nothing has been read but what it holds."""
    import safetensors

    try:
        with open(path, "rb"):
            pass  # its errors say more than those of the reader below
        with safetensors.safe_open(path, framework="numpy") as file:  # type: ignore[no-untyped-call]
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT or "config" not in metadata:
                raise ValueError(
                    f"{path} is a safetensors file, but not one that jlstm wrote: its metadata "
                    "holds no jlstm config"
                )
            if metadata.get("format_version") != VERSION:
                raise ValueError(
                    f"{path} has format version {metadata.get('format_version')}; this jlstm reads "
                    f"version {VERSION}: install a newer jlstm"
                )
            try:
                config = config_toml.loads(metadata["config"])
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path} holds a config that cannot be used: {error}") from None
            yield config, file
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None


def _described(file: Any, name: str) -> tuple[tuple[int, ...], Any]:
    """Shape and number format of a tensor, without reading it."""
    part = file.get_slice(name)
    known = {"BF16": "bfloat16", "BOOL": "bool", "F16": "float16", "F32": "float32"}
    known |= {"F64": "float64"}
    kind = part.get_dtype()
    return tuple(part.get_shape()), known.get(kind, kind)


def _tensor(file: Any, name: str) -> jax.Array:
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


def named(params: Params) -> dict[str, Any]:
    """The parameters by the names that a file has for them: "layers.0.w_x"."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
