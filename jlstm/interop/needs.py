"""What a conversion needs: libraries, imported where it is used, and their own classes."""

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


def own_methods(value: Any, kind: type, *names: str) -> None:
    """TypeError where the class of a `kind` has methods of these names that are not kind's own."""
    made = type(value)
    for name in names:
        if getattr(made, name) is not getattr(kind, name):
            raise TypeError(
                f"{made.__name__} has a {name} of its own, so that it may compute something else; "
                f"expected {kind.__name__} itself, or a class that computes what it does: copy the "
                "weights into one"
            )
