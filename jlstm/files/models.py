"""Saves and loads a model as one safetensors file with the config in its metadata."""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jlstm import arguments, quantized, validation
from jlstm.config import Config, require_config
from jlstm.files import sorted_metadata, tensor_file
from jlstm.files.writing import try_by, write_by
from jlstm.named import named
from jlstm.params import Params, shaped


def save(
    path: str | os.PathLike[str],
    config: Config,
    params: Params,
    *,
    extra: Mapping[str, Any] | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Writes a network to one .safetensors file.

    The file is written under a temporary name in the same folder, then renamed. Equal arguments
    give equal bytes, with one version of jlstm and of safetensors.

    Args:
      path: the file. An existing file is replaced, unless it is read-only. It keeps its owner and
        its permissions.
      config: the network, stored as TOML in the file's metadata.
      params: its parameters, stored in their dtypes, with names like "layers.0.w_x" [I, 4H]. An
        int8 matrix of `quantize` becomes two arrays: "layers.0.w_x.values" [I, 4H] and
        "layers.0.w_x.scale" [4H].
      extra: further arrays to store, such as those of a readout. Names must not begin with
        "layers.". `load_extra` reads them.
      notes: further texts to store in the metadata, by name. `load_notes` reads them.

    Raises:
      TypeError, ValueError: params do not fit config, the config's initializer is a function, a
        name in `extra` begins with "layers.", a note is no text, there are too many layers, arrays
        or notes for the file's header, or `path` is not a file name.
      OSError: the file cannot be written.

    >>> import tempfile
    >>> from jlstm.params import init
    >>> config = Config.stack(6, [4])
    >>> params = init(jax.random.key(0), config)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/model.safetensors"
    ...     save(path, config, params, notes={"trained on": "digits"})
    ...     load(path)[0] == config, load_notes(path)
    (True, {'trained on': 'digits'})
    """
    write_by(path, _writer(path, config, params, extra, notes))


def try_save(
    path: str | os.PathLike[str],
    config: Config,
    params: Params,
    *,
    extra: Mapping[str, Any] | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Finds, before the arrays are computed, whether `save` will be able to write them.

    A file of the same size is written and removed. A file at `path` stays as it is.

    Args:
      path, config: as for `save`.
      params, extra: arrays of the shapes and dtypes that `save` will get.
      notes: texts of the lengths that `save` will get.

    Raises:
      TypeError, ValueError, OSError: `save` would raise it.
    """
    try_by(path, _writer(path, config, params, extra, notes))


def _writer(
    path: str | os.PathLike[str],
    config: Config,
    params: Params,
    extra: Mapping[str, Any] | None,
    notes: Mapping[str, str] | None,
) -> Callable[[pathlib.Path], None]:
    """A function that writes the file to any path. `path` is for errors."""
    import safetensors.numpy

    require_config(config)
    arguments.params(config, params)
    tensors = {name: np.asarray(array, order="C") for name, array in named(params).items()}
    tensors |= _further(extra or {})
    content = safetensors.numpy.save(tensors, tensor_file.metadata(config, notes))
    header, rest = sorted_metadata.parts(content)
    tensor_file.require_bounded(path, header[:8])

    def write(beside: pathlib.Path) -> None:
        with beside.open("wb") as file:
            file.write(header)
            file.write(rest)

    return write


def load(path: str | os.PathLike[str]) -> tuple[Config, Params]:
    """Loads the config and the parameters from a file that `save` wrote.

    Further arrays of the file, such as the readout that `jlstm train` saves, are not read here.
    `load_extra` returns them, and `load_notes` the texts. To change a file, pass them on:
    save(path, config, params, extra=load_extra(path), notes=load_notes(path)).

    Args:
      path: the file.

    Returns:
      config and params, such as layers[0].w_x [I, 4H], with the dtypes that were saved, int8 too.

    Raises:
      ValueError: the file is missing, truncated, not a safetensors file, not written by this
        library, of a later format, or its tensors do not fit its config.

    >>> import tempfile
    >>> from jlstm.params import init
    >>> config = Config.stack(6, [4])
    >>> params = init(jax.random.key(0), config)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/model.safetensors"
    ...     save(path, config, params)
    ...     load(path)[1].layers[0].w_x.shape
    (6, 16)
    """
    with tensor_file.opened(path) as (config, file):
        found = {name for name in file.keys() if name.startswith("layers.")}  # noqa: SIM118
        if len(found) < 2 * len(config.layers):
            raise ValueError(
                f"{path} does not hold the tensors that its config needs: it has {len(found)} for "
                f"{len(config.layers)} layers, each of which needs at least two"
            )
        expected = named(shapes := quantized.where_found(shaped(config), found))
        if differs := validation.difference(found, expected):
            raise ValueError(f"{path} does not hold the tensors that its config needs; {differs}")
        for name, wanted in expected.items():
            shape, dtype = tensor_file.described(file, name)
            if (shape, dtype) != (wanted.shape, wanted.dtype):
                raise ValueError(
                    f"{path}: tensor {name} is {dtype}{validation.shown(list(shape))}, but its "
                    f"config needs {wanted.dtype}{list(wanted.shape)}"
                )
        leaves = [tensor_file.tensor(file, name) for name in expected]
    return config, jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def load_extra(path: str | os.PathLike[str]) -> dict[str, jax.Array]:
    """Loads the arrays that were passed to `save` as `extra`, by name.

    Args:
      path: the file.

    Returns:
      The arrays by name, such as readout.w [P, classes], with the dtypes that were saved.

    Raises:
      ValueError: for the same reasons as `load`; an array has a dtype that `save` does not write;
        or an array has 64-bit numbers and jax_enable_x64 is off.

    >>> import tempfile
    >>> from jlstm.params import init
    >>> config = Config.stack(6, [4])
    >>> params = init(jax.random.key(0), config)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/model.safetensors"
    ...     save(path, config, params, extra={"readout.w": np.ones((4, 10), "float32")})
    ...     load_extra(path)["readout.w"].shape
    (4, 10)
    """
    with tensor_file.opened(path) as (_, file):
        names = _names_of_extra(file)
        for name in names:
            kind = tensor_file.described(file, name)[1]
            if kind not in tensor_file.KINDS.values():
                raise ValueError(
                    f"{path}: {name} has dtype {kind}, which is not supported; supported are "
                    f"{', '.join(tensor_file.KINDS.values())}"
                )
            if kind in ("int64", "uint64", "float64") and not jax.config.read("jax_enable_x64"):
                raise ValueError(
                    f"{path}: {name} has 64-bit numbers ({kind}), which JAX would cut to 32 bits; "
                    'run jax.config.update("jax_enable_x64", True) first, or read that array with '
                    "safetensors.numpy.load_file"
                )
        return {name: tensor_file.tensor(file, name) for name in names}


def load_notes(path: str | os.PathLike[str]) -> dict[str, str]:
    """Loads the texts that were passed to `save` as `notes`, by name.

    Args:
      path: the file.

    Returns:
      The texts by name.

    Raises:
      ValueError: for the same reasons as `load`.

    >>> import tempfile
    >>> from jlstm.params import init
    >>> config = Config.stack(6, [4])
    >>> params = init(jax.random.key(0), config)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/model.safetensors"
    ...     save(path, config, params, notes={"units": "kWh"})
    ...     load_notes(path)
    {'units': 'kWh'}
    """
    with tensor_file.opened(path) as (_, file):
        return tensor_file.notes(file)


def extra_names(path: str | os.PathLike[str]) -> list[str]:
    """The names of the arrays that `load_extra` returns. Reads none of them.

    Raises:
      ValueError: for the same reasons as `load`.
    """
    with tensor_file.opened(path) as (_, file):
        return _names_of_extra(file)


def _names_of_extra(file: Any) -> list[str]:
    return sorted(name for name in file.keys() if not name.startswith("layers."))  # noqa: SIM118


def _further(extra: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The checked arrays of `extra`."""
    if not isinstance(extra, Mapping):
        raise TypeError(
            f"extra is {type(extra).__name__}; expected arrays by name: extra={{'readout.w': w}}"
        )
    made = {}
    for name, value in extra.items():
        if not isinstance(name, str):
            raise TypeError(f"extra has the name {name!r}; expected a string such as 'readout.w'")
        if name.startswith("layers."):
            raise ValueError(f"extra holds {name!r}, but 'layers.' is for the network: rename it")
        made[name] = np.asarray(value, order="C")
        if made[name].dtype.kind not in "biufV":
            raise TypeError(f"extra holds {name!r}, which is {value!r:.60}; expected an array")
        if made[name].dtype.name not in tensor_file.KINDS.values():
            raise TypeError(
                f"extra holds {name!r} in {made[name].dtype}, which is not supported; convert it "
                f"to one of {', '.join(tensor_file.KINDS.values())}"
            )
    return made
