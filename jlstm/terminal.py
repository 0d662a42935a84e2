"""Prints lines of the commands. They may quote names from files, which are not trusted."""

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from jlstm import validation


def say(line: str) -> None:
    """Prints a line. What is not printable is escaped, and a long line loses its middle.

    >>> say("weights of \\x1b[31m: left out")
    weights of \\x1b[31m: left out
    """
    print(validation.fitting(line))


def say_json(document: Mapping[str, Any]) -> None:
    """Prints one line of JSON. Other than ASCII is escaped.

    Raises:
      ValueError: a number is NaN or infinite, which JSON does not have.

    >>> say_json({"milliseconds": 1.5, "device": "\\x1b[31m"})
    {"milliseconds": 1.5, "device": "\\u001b[31m"}
    """
    print(json.dumps(document, allow_nan=False))


def flush() -> None:
    """Writes out what was printed.

    Raises:
      OSError: it cannot be written: a disk is full, or nobody reads it any more.
    """
    if sys.stdout is not None:  # as it is if the process was started without
        sys.stdout.flush()


def drop() -> None:
    """Drops what was printed and cannot be written, for which Python would print a traceback."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError), open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


@contextlib.contextmanager
def warning_lines() -> Iterator[None]:
    """Prints Python's warnings as lines that begin with `warning:`, without a place in the code."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if sys.stderr is not None:
            words = " ".join(str(message).split())
            print(f"warning: {validation.fitting(words)}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
