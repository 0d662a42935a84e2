"""What all stages share: their arguments, results as JSON lines, and cases made small."""

import argparse
import dataclasses
import json
import pathlib
from typing import Any

from jlstm.bench import cases
from jlstm.bench.cases import Case


def arguments(description: str | None, *positional: str) -> argparse.Namespace:
    """The command line of a stage: positional arguments, --out, and --rehearse."""
    parser = argparse.ArgumentParser(description=description)
    for name in positional:
        parser.add_argument(name)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--rehearse", action="store_true")
    return parser.parse_args()


def append(path: pathlib.Path, *records: dict[str, Any]) -> None:
    """Appends records in one write, so that processes beside each other leave whole lines."""
    with path.open("ab", buffering=0) as file:
        file.write("".join(json.dumps(record) + "\n" for record in records).encode())


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    """The records of a file, or none where a stage left no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def suite(name: str, *, rehearse: bool) -> list[Case]:
    """The cases of a suite of this folder; for a rehearsal small, and each kind once."""
    found = cases.from_file(pathlib.Path(__file__).with_name(name))
    if not rehearse:
        return list(found)
    kinds = {(case.config, case.shape): case for case in map(small, reversed(found))}
    return list(reversed(kinds.values()))


def small(case: Case) -> Case:
    """The case with at most 12 steps, 3 sequences and 8 units."""
    layers = tuple(
        dataclasses.replace(layer, hidden_size=min(8, layer.hidden_size))
        for layer in case.config.layers
    )
    shape = dataclasses.replace(
        case.shape,
        time_steps=min(12, case.shape.time_steps),
        batch_size=min(3, case.shape.batch_size),
    )
    config = dataclasses.replace(
        case.config, input_size=min(8, case.config.input_size), layers=layers
    )
    return Case(case.name, config, shape)
