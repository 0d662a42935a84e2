"""Libraries that a conversion needs, imported where it is used."""

import importlib
from typing import Any


def module(name: str) -> Any:
    """The module of that name.

    Raises:
      ImportError: it is not installed; the text says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not name.startswith(error.name or name):
            raise
        raise ImportError(
            f"this conversion needs {name.partition('.')[0]}, which is not installed: "
            "pip install 'jlstm[interop]' has what files need, 'jlstm[peers]' the frameworks"
        ) from None
