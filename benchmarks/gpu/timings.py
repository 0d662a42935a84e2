"""Times one suite against torch and Flax, waiting for each call; appends to records.jsonl."""

import os
import pathlib

import contenders
import stage
import suites
from rich.console import Console

from jlstm import info
from jlstm.bench import ceilings, compare, records, tables

# A contender that takes longer than this for any answer is killed, and the others go on.
LIMIT_S = 60.0
# An idle GPU needs some milliseconds to reach its clock, so a turn has many calls. The first does
# not count.
PACE = compare.Pace(seconds=1.0, fewest_rounds=10, turn_s=0.06, pause_s=0.0)
REHEARSAL = compare.Pace(seconds=0.0, pause_s=0.0)


def run(suite: str, out: pathlib.Path, *, rehearse: bool) -> None:
    """Times the cases of a suite, and appends records case by case.

    Args:
      suite: name of the TOML file in this folder.
      out: folder for the results.
      rehearse: whether to use small cases, and torch on the CPU.
    """
    console = Console(width=120)
    device, threads = info.devices()[0], len(os.sched_getaffinity(0))
    found = ceilings.measure(threads)
    command = f"python benchmarks/gpu/measure.py{' --rehearse' if rehearse else ''} ({suite})"
    gpu = "" if device.platform == "cpu" else device.device_kind
    common = records.of_run(command, threads, found, gpu)
    cases = suites.suite(suite, rehearse=rehearse)
    everyone = [
        contender
        for contender in contenders.contenders("cpu" if rehearse else "cuda")
        if any(contenders.takes_part(contender, case) for case in cases)
    ]
    workers, missing = compare.started(everyone, threads, LIMIT_S)
    for name, reason in missing.items():
        console.print(f"{name} does not take part: {reason}", markup=False)
    try:
        for case in cases:
            asked = {n: w for n, w in workers.items() if contenders.takes_part(w.contender, case)}
            pace = REHEARSAL if rehearse else PACE
            for outcome in compare.compare(case, asked, threads, pace, lambda *_: None):
                outcome = outcome._replace(left_out=missing | outcome.left_out)
                stage.append(out / "records.jsonl", *records.of_case(common, case, outcome))
                tables.show(console, case, outcome, found)
            for name, worker in list(workers.items()):
                if not worker.alive:
                    workers.pop(name).stop()
                    workers |= compare.started([worker.contender], threads, LIMIT_S)[0]
    finally:
        for worker in workers.values():
            worker.stop()


if __name__ == "__main__":
    arguments = stage.arguments(__doc__, "suite")
    run(arguments.suite, arguments.out, rehearse=arguments.rehearse)
