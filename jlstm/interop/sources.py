"""What errors of the readers of files have in common: they name the file, and are short."""

import functools
import os
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from jlstm import validation

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def in_words(read: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Wraps a reader, so that errors name its file, are safe to print, and fit on a screen.

    The file is the first argument or the keyword `source`, if that is a path.
    """

    @functools.wraps(read)
    def wrapped(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        try:
            return read(*args, **kwargs)
        except (TypeError, ValueError) as error:
            source = args[0] if args else kwargs.get("source")
            path = source if isinstance(source, (str, os.PathLike)) else ""
            words = shortened(str(error), os.fspath(path))
            if words == str(error):
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(words) from None

    return wrapped


def shortened(words: str, path: str = "") -> str:
    """An error that is safe to print and fits on a screen. It begins with a path it lacks."""
    # A checkpoint of TensorFlow is named without the ending of its index.
    stem = re.escape(os.path.splitext(path)[0])
    known = path in words or re.search(rf"(^|\s){stem}(: | is )", words)
    lead = "" if known else f"{path}: "
    return validation.fitting(lead + words)
