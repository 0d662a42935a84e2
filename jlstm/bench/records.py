"""Measurements as JSON lines."""

import contextlib
import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jlstm import config_toml, info
from jlstm.bench.cases import Case
from jlstm.bench.compare import Outcome


@contextlib.contextmanager
def appending(path: pathlib.Path) -> Iterator[Callable[[Case, Outcome], None]]:
    """Opens a file and gives a function that appends the records of a case to it, whole lines.

    A file that was not there before is not left behind empty.

    Raises:
      ValueError: the file cannot be written.
    """
    new = not path.exists()
    try:
        # Unbuffered: all lines of a case are written at once, whatever interrupts.
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise ValueError(f"cannot write records to {path}: {error.strerror}") from None

    def write(case: Case, outcome: Outcome) -> None:
        lines = [json.dumps(record) + "\n" for record in of_case(case, outcome)]
        file.write("".join(lines).encode())

    try:
        with file:
            yield write
    finally:
        if new and path.exists() and not path.stat().st_size:
            path.unlink()


def of_case(case: Case, outcome: Outcome) -> list[dict[str, Any]]:
    """A record for each contender and mode that was timed, and one for each left out."""
    device = jax.devices()[0]
    common: dict[str, Any] = {
        "case": case.name,
        "config": config_toml.dumps(case.config),
        "dtype": case.config.dtype,
        **dataclasses.asdict(case.shape),
        "input_size": case.config.input_size,
        "hidden_sizes": [layer.hidden_size for layer in case.config.layers],
        "versions": info.versions(),
        "device": f"{device.platform}: {device.device_kind}",
        "cpus": os.cpu_count(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    records = []
    for (name, mode), timing in outcome.timings.items():
        flops = case.flops(mode)
        own = {"contender": name, "mode": mode, "flops": flops, **dataclasses.asdict(timing)}
        own["median_s"], own["spread_s"] = timing.median_s, timing.spread_s
        own["gflops_per_s"] = flops / timing.median_s / 1e9
        records.append(common | own)
    for name, reason in outcome.left_out.items():
        records.append(common | {"contender": name, "left_out": reason})
    return records
