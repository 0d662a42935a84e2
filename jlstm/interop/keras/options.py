"""Reads the JSON text of a serialised Keras model, and the version that wrote it."""

import json
from typing import Any

from jlstm.interop.keras import names

_LARGEST = 1 << 20  # bytes; real files have some thousand


def require_small(size: int, what: str) -> None:
    """ValueError if a text is larger than Keras writes."""
    if size > _LARGEST:
        raise ValueError(f"{what} is larger than Keras writes; expected at most 1 MiB")


def loaded(text: str | bytes, what: str, major: int = 3) -> Any:
    """The value of a JSON text. Names that Keras 2 uses otherwise are replaced by those of Keras 3.

    Raises:
      ValueError: the text, which the message calls `what`, is not JSON or too large.
    """
    require_small(len(text), what)
    try:
        return json.loads(text, object_hook=renamed if major == 2 else None)
    except (ValueError, RecursionError):
        raise ValueError(f"{what} is not valid JSON") from None


def renamed(options: dict[str, Any]) -> dict[str, Any]:
    """Serialised options of Keras 2 with Keras 3's names of activations."""
    for option in ("activation", "recurrent_activation"):
        name = options.get(option)
        if isinstance(name, str):
            options[option] = names.OF_KERAS_2.get(name, name)
    return options


def major(version: Any, source: str) -> int:
    """2 or 3, by the version of Keras that wrote a file.

    Raises:
      ValueError: the version is another.
    """
    first = str(version).partition(".")[0]
    if first not in ("2", "3"):
        raise ValueError(
            f"{source} was written by version {ascii(version)[:99]} of Keras; expected 2 or 3"
        )
    return int(first)
