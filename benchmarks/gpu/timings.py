"""Times the cases of one suite beside torch and Flax; every call is waited for."""

import math
import os
import pathlib

import contenders
import lines
from rich.console import Console

from jlstm import info
from jlstm.bench import ceilings, compare, records, tables

# A contender that takes longer than this to build a case is ended, and the others go on.
LIMIT_S = 60.0


def run(suite: str, out: pathlib.Path, *, rehearse: bool) -> None:
    """Appends records of a suite of this folder to records.jsonl, case by case.

    Args:
      suite: name of the TOML file.
      out: folder for the results.
      rehearse: whether cases are made small and torch stays on the CPU.
    """
    console = Console(width=120)
    device = info.devices()[0]
    threads = len(os.sched_getaffinity(0))
    found = ceilings.measure(threads)
    command = f"python benchmarks/gpu/measure.py{' --rehearse' if rehearse else ''} ({suite})"
    gpu = "" if device.platform == "cpu" else device.device_kind
    common = records.of_run(command, threads, found, gpu)
    everyone = contenders.contenders("cpu" if rehearse else "cuda")
    workers, missing = compare.started(everyone, threads, LIMIT_S)
    for name, reason in missing.items():
        console.print(f"{name} does not take part: {reason}", markup=False)
    try:
        for case in lines.suite(suite, rehearse=rehearse):
            asked = {c.name: workers[c.name] for c in everyone if c.name in workers}
            asked = {n: w for n, w in asked.items() if contenders.takes_part(w.contender, case)}
            seconds = 0.0 if rehearse else 0.5
            # On a GPU a launch costs as much as a step, so every case has its empty call timed.
            for outcome in compare.compare(case, asked, threads, seconds, _ignore, small=math.inf):
                outcome = outcome._replace(left_out=missing | outcome.left_out)
                lines.append(out / "records.jsonl", *records.of_case(common, case, outcome))
                tables.show(console, case, outcome, found)
    finally:
        for worker in workers.values():
            worker.stop()


def _ignore(text: str, share: float) -> None:
    """Progress that nobody watches."""


if __name__ == "__main__":
    arguments = lines.arguments(__doc__, "suite")
    run(arguments.suite, arguments.out, rehearse=arguments.rehearse)
