"""Requirements of a conversion: optional libraries, and classes without overridden methods."""

import importlib
from typing import Any

# Modules whose packages have other names.
_PACKAGES = {"google_crc32c": "google-crc32c", "haiku": "dm-haiku"}


def module(name: str) -> Any:
    """Imports the module `name`.

    Raises:
      ImportError: it is not installed. The message says how to install it.
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
    """TypeError if the class of `value`, a `kind`, overrides one of these methods."""
    made = type(value)
    for name in names:
        if getattr(made, name) is not getattr(kind, name):
            raise TypeError(
                f"{made.__name__} overrides {name}, so it may compute something else; expected "
                f"{kind.__name__} itself, or a subclass that does not override it: copy the "
                "weights into one"
            )
