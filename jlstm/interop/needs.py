"""Libraries that a conversion needs, imported where it is used."""

import importlib
from typing import Any

_PACKAGES = {"google_crc32c": "google-crc32c", "haiku": "dm-haiku"}  # named otherwise than modules


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
        package = name.partition(".")[0]
        raise ImportError(
            f"this conversion needs {package}, which is not installed: "
            f"pip install {_PACKAGES.get(package, package)}"
        ) from None
