"""Makes the errors of readers name the file that they read, and fit on a screen."""

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
            words = naming(str(error), os.fspath(path))
            if words == str(error):
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(words) from None

    return wrapped


def naming(words: str, path: str = "") -> str:
    """An error that names a path, is safe to print, and fits on a screen.

    The path is put in front unless the error names it already.
    """
    # A checkpoint of TensorFlow is named without the ending of its index.
    stem = re.escape(os.path.splitext(path)[0])
    known = path in words or re.search(rf"(^|\s){stem}(: | is )", words)
    lead = "" if known else f"{path}: "
    return validation.fitting(lead + words)
