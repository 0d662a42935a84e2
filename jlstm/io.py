"""Models as single safetensors files, the config in their metadata."""

import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm import arguments, config_toml
from jlstm.config import Config, require_config
from jlstm.params import Params, init

FORMAT = "jlstm"
VERSION = "1"


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
    tensors = _named(params)
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
    config, tensors = _read(path)
    shapes = jax.eval_shape(lambda: init(jax.random.key(0), config))
    expected = _named(shapes)
    found = {name: array for name, array in tensors.items() if name.startswith("layers.")}
    if set(found) != set(expected):
        missing, surplus = set(expected) - set(found), set(found) - set(expected)
        raise ValueError(
            f"{path} does not hold the tensors its config asks for; missing: "
            f"{sorted(missing) or 'none'}, not asked for: {sorted(surplus) or 'none'}"
        )
    for name, array in found.items():
        wanted = (expected[name].shape, expected[name].dtype)
        if (array.shape, array.dtype) != wanted:
            raise ValueError(
                f"{path}: tensor {name} is {array.dtype}{list(array.shape)}, its config asks for "
                f"{wanted[1]}{list(wanted[0])}"
            )
    leaves = [jnp.asarray(found[name]) for name in expected]
    return config, jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def load_extra(path: str | os.PathLike[str]) -> dict[str, jax.Array]:
    """The arrays that `save` was given as `extra`, by name; errors as those of `load`."""
    _, tensors = _read(path)
    return {name: jnp.asarray(a) for name, a in tensors.items() if not name.startswith("layers.")}


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file so that it is there whole or not at all."""
    path = pathlib.Path(path)
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _read(path: str | os.PathLike[str]) -> tuple[Config, dict[str, np.ndarray]]:
    import safetensors
    import safetensors.numpy

    try:
        with open(path, "rb"):
            pass  # its errors say more than those of the reader below
        with safetensors.safe_open(path, framework="numpy") as file:  # type: ignore[no-untyped-call]
            metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT or "config" not in metadata:
            raise ValueError(
                f"{path} is a safetensors file, but not one that jlstm wrote: its metadata holds "
                "no jlstm config"
            )
        if metadata.get("format_version") != VERSION:
            raise ValueError(
                f"{path} has format version {metadata.get('format_version')}; this jlstm reads "
                f"version {VERSION}: install a newer jlstm"
            )
        tensors = safetensors.numpy.load_file(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None
    try:
        return config_toml.loads(metadata["config"]), tensors
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} holds a config that cannot be used: {error}") from None


def _named(params: Params) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
