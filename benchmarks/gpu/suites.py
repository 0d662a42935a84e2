"""The cases of this folder, and small versions of them for a rehearsal."""

import dataclasses
import pathlib

from jlstm.bench import cases
from jlstm.bench.cases import Case


def suite(name: str, *, rehearse: bool) -> list[Case]:
    """The cases of a TOML file in this folder. For a rehearsal: small, without duplicates."""
    found = cases.from_file(pathlib.Path(__file__).with_name(name))
    if not rehearse:
        return list(found)
    kinds: dict[object, Case] = {}
    for case in map(shrunk, found):
        kinds.setdefault((case.config, case.shape), case)
    return list(kinds.values())


def shrunk(case: Case) -> Case:
    """The case with at most 12 steps, 3 sequences, and 8 units and inputs."""
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
