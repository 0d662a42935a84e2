"""The best model of a run as one .safetensors file: a network, other arrays and JSON values."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jlstm import validation
from jlstm.config import Config
from jlstm.files import models, writing
from jlstm.params import Params

NAME = "model.safetensors"


class Loaded(NamedTuple):
    """What a file holds.

    Attributes:
      config: the network.
      params: its parameters.
      arrays: the other arrays, such as "readout.w", by name.
      values: the JSON values, such as "task", by name.
    """

    config: Config
    params: Params
    arrays: dict[str, jax.Array]
    values: dict[str, Any]


def save(
    path: str | os.PathLike[str],
    config: Config,
    params: Params,
    arrays: Mapping[str, Any],
    values: Mapping[str, Any],
) -> None:
    """Writes a model. It replaces an existing file only when the new one is complete.

    Args:
      path: the file. `jlstm.load` reads the network from it.
      config, params: the network.
      arrays: other arrays, by name. None leaves a name out.
      values: JSON values by name.

    Raises:
      TypeError, ValueError: as `jlstm.save`, or a value is not JSON.
      OSError: the file cannot be written.
    """
    models.save(path, config, params, extra=_present(arrays), notes=_texts(values))


def try_save(
    path: str | os.PathLike[str],
    config: Config,
    params: Any,
    arrays: Mapping[str, Any],
    values: Mapping[str, Any],
) -> None:
    """Raises the errors of `save` before training, when the final arrays do not exist yet.

    It writes a file of the same size and removes it. A file at `path` stays as it is.

    Args:
      path: the file. Its folder exists.
      config: the network.
      params, arrays: arrays or ShapeDtypeStructs, as `save` will get them.
      values: JSON values as `save` will get them.

    Raises:
      TypeError: as `save`.
      ValueError: the file could not be written. The message has the reason.
    """

    def zeros(tree: Any) -> Any:
        return jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), tree)

    extra, notes = zeros(_present(arrays)), _texts(values)
    _told(path, lambda: models.try_save(path, config, zeros(params), extra=extra, notes=notes))


def load(path: str | os.PathLike[str]) -> Loaded:
    """Loads a model that `save` wrote.

    Raises:
      ValueError: as `jlstm.load` and `jlstm.load_extra`, or a note of the file is not JSON.
    """
    config, params = models.load(path)
    values = {}
    for name, text in models.load_notes(path).items():
        try:
            values[name] = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise ValueError(
                f"{path}: the note {validation.fitting(name)} is not JSON; pass a file that "
                "`jlstm train` wrote"
            ) from None
    return Loaded(config, params, models.load_extra(path), values)


def _present(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: array for name, array in arrays.items() if array is not None}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    texts = {}
    for name, value in values.items():
        try:
            # Escapes, as a vocabulary of bytes has halves of characters, which UTF-8 cannot hold.
            texts[name] = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{name} is {validation.shown(value)}, which is not JSON: {error}") from None
    return texts


def _refuse(word: str) -> None:
    raise ValueError(word)


def _told(path: str | os.PathLike[str], write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise ValueError(f"cannot write the model to {path}: {writing.reason(error)}") from None
