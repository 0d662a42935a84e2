"""Code shared by all stages: the command line, results as JSON lines, one-line errors."""

import argparse
import json
import pathlib
from collections.abc import Callable
from typing import Any


def arguments(description: str | None, *positional: str) -> argparse.Namespace:
    """Parses the command line of a stage: positional arguments, --out and --rehearse."""
    parser = argparse.ArgumentParser(description=description)
    for name in positional:
        parser.add_argument(name)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--rehearse", action="store_true")
    return parser.parse_args()


def append(path: pathlib.Path, *records: dict[str, Any]) -> None:
    """Appends records in one write, so that concurrent stages write whole lines."""
    with path.open("ab", buffering=0) as file:
        file.write("".join(json.dumps(record) + "\n" for record in records).encode())


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    """The records of a file, or none if there is no such file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def or_error(function: Callable[[], Any]) -> Any:
    """The result of `function`, or the error that it raises as text."""
    try:
        return function()
    except Exception as error:
        return in_a_line(error)


def in_a_line(error: Exception) -> str:
    """The kind of an error, and the first 500 characters of its message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
