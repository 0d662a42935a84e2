"""Models as single safetensors files, the config in their metadata."""

import contextlib
import math
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm import aligned, arguments, config_toml
from jlstm.config import Config, require_config
from jlstm.params import Params, shaped
from jlstm.writing import write_bytes

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
    tensors = {name: np.asarray(array, order="C") for name, array in named(params).items()}
    tensors |= _further(extra or {})
    metadata = {"format": FORMAT, "format_version": VERSION, "config": config_toml.dumps(config)}
    write_bytes(path, safetensors.numpy.save(tensors, metadata))


def load(path: str | os.PathLike[str]) -> tuple[Config, Params]:
    """Reads what `save` wrote: the config, and parameters equal to those saved.

    Raises:
      ValueError: the file is not there, truncated, not a safetensors file, not one of this
        library's, of a later format, or its tensors do not fit its config.
    """
    with _opened(path) as (config, file):
        expected = named(shapes := shaped(config))
        found = {name for name in file.keys() if name.startswith("layers.")}  # noqa: SIM118
        if found != set(expected):
            missing, surplus = set(expected) - found, found - set(expected)
            raise ValueError(
                f"{path} does not hold the tensors its config asks for; missing: "
                f"{_some(missing)}, not asked for: {_some(surplus)}"
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
    """The arrays that `save` was given as `extra`, by name.

    Raises:
      ValueError: as `load`; or an array holds 64-bit numbers and JAX is set to drop to 32 bits.
    """
    with _opened(path) as (_, file):
        names = [name for name in file.keys() if not name.startswith("layers.")]  # noqa: SIM118
        for name in names:
            kind = _described(file, name)[1]
            if kind in ("I64", "U64", "float64") and not jax.config.read("jax_enable_x64"):
                raise ValueError(
                    f"{path}: {name} holds 64-bit numbers ({kind}), of which JAX would drop half; "
                    'run jax.config.update("jax_enable_x64", True) first, or read that array with '
                    "safetensors.numpy.load_file"
                )
        return {name: _tensor(file, name) for name in names}


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


def _further(extra: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What stands in a file beside the network, checked."""
    if not isinstance(extra, Mapping):
        raise TypeError(
            f"extra is {type(extra).__name__}; expected arrays by name: extra={{'readout.w': w}}"
        )
    made = {}
    for name, value in extra.items():
        if not isinstance(name, str):
            raise TypeError(f"extra has the name {name!r}; expected text, such as 'readout.w'")
        if name.startswith("layers."):
            raise ValueError(f"extra holds {name!r}, but names in 'layers.' are the network's own")
        made[name] = np.asarray(value, order="C")
        if made[name].dtype.kind not in "biufV":
            raise TypeError(f"extra holds {name!r}, which is {value!r:.60}; expected an array")
    return made


def _some(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(sorted(names)[:8]) or "none"
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def named(params: Params) -> dict[str, Any]:
    """The parameters by the names that a file has for them: "layers.0.w_x"."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
