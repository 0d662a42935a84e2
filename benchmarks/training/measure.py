"""Training throughput of jlstm, torch and Keras on JAX, data loading included.

    PYTHONPATH=. python3 benchmarks/training/measure.py --out benchmarks/training.jsonl

Each framework has its own process. They train the same networks on the same arrays in turns, one
after the other, so that a slow moment of the machine meets all of them. The first turn compiles and
is not counted. Prints the table of benchmarks/training.md.
"""

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import pathlib
import platform
import statistics
import sys
import time
from importlib.metadata import version
from multiprocessing.connection import Connection
from typing import Any

from cases import CASES, Case, arrays

FRAMEWORKS = ("jlstm", "torch", "keras")
# Thread pools go on spinning for a while after a call.
PAUSE_S = 0.05


def serve(connection: Connection, framework: str) -> None:
    """Trains in turns, and sends the sequences a second and the loss of each. Runs as a process.

    A message is a case, which is then trained first, or anything else for a further turn.
    """
    module, turn = importlib.import_module(f"with_{framework}"), None
    while (asked := connection.recv()) is not None:
        if isinstance(asked, Case):
            turn = module.prepare(asked, arrays(asked))
        start = time.perf_counter()
        count, loss = turn()
        connection.send((count / (time.perf_counter() - start), loss))


def measure(case: Case, workers: dict[str, Connection], rounds: int) -> list[dict[str, Any]]:
    """Sequences a second of each framework in each round."""
    speeds: dict[str, list[float]] = {name: [] for name in workers}
    losses: dict[str, float] = {}
    for asked in (case, *["turn"] * rounds):
        for name, connection in workers.items():
            time.sleep(PAUSE_S)
            connection.send(asked)
            speed, losses[name] = connection.recv()
            if asked != case:
                speeds[name].append(speed)
    return [
        {"case": case.name, "framework": name, "per_second": speeds[name], "loss": losses[name]}
        for name in workers
    ]


def table(records: list[dict[str, Any]], frameworks: tuple[str, ...]) -> str:
    """Medians of sequences a second, and jlstm's divided by each of the others'."""
    others = [name for name in frameworks if name != "jlstm"]
    head = ["case", *frameworks, *(f"jlstm / {name}" for name in others)]
    lines = [head, ["---"] * len(head)]
    for case in dict.fromkeys(record["case"] for record in records):
        median = {
            record["framework"]: statistics.median(record["per_second"])
            for record in records
            if record["case"] == case
        }
        ratios = [f"{median['jlstm'] / median[name]:.2f}" for name in others]
        lines.append([case, *(f"{median[name]:,.0f}" for name in frameworks), *ratios])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> dict[str, Any]:
    """Where and with what the records were made."""
    processor = platform.processor()
    with contextlib.suppress(OSError, StopIteration):
        text = pathlib.Path("/proc/cpuinfo").read_text()
        processor = next(n for n in text.splitlines() if n.startswith("model name")).split(": ")[1]
    names = ("jlstm", "jax", "optax", "numpy", "torch", "keras")
    versions = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = version(name)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor,
        "processors": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": versions,
    }


def main() -> None:
    """Runs all cases, prints the table and writes the records."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, help="file of records (JSONL) to write")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each framework")
    parser.add_argument("--only", nargs="+", default=[""], help="words that names of cases contain")
    parser.add_argument("--frameworks", nargs="+", default=FRAMEWORKS, choices=FRAMEWORKS)
    options = parser.parse_args()
    context, workers, records = multiprocessing.get_context("spawn"), {}, []
    for name in options.frameworks:
        workers[name], theirs = context.Pipe()
        context.Process(target=serve, args=(theirs, name), daemon=True).start()
        theirs.close()
    where = machine()
    for case in CASES:
        if any(word in case.name for word in options.only):
            found = measure(case, workers, options.rounds)
            records += [where | record for record in found]
            print(table(found, tuple(options.frameworks)).splitlines()[-1], file=sys.stderr)
    for connection in workers.values():
        connection.send(None)
    if options.out is not None:
        options.out.write_text("".join(json.dumps(record) + "\n" for record in records))
    print(table(records, tuple(options.frameworks)))


if __name__ == "__main__":
    main()
