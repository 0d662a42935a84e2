"""Measures the peak memory of one contender in training steps; appends to memory.jsonl.

XLA's autotuning is off: it tries kernels that need more memory than the one it chooses.
"""

import importlib
import os

import contenders
import jax
import stage
import suites

from jlstm.bench import memory, problem
from jlstm.bench.cases import Case
from jlstm.bench.contenders import Contender


def peak_bytes(case: Case, contender: Contender) -> tuple[int | None, int | None]:
    """Returns (the memory that XLA plans for a call, the peak memory), in bytes.

    The first is None for torch. The second is the peak of torch or of JAX's allocator since the
    process began. On a CPU, where neither reports one, it is the peak of the process.
    """
    module = importlib.import_module(contender.module)
    memory.start_peak()
    before = memory.resident_bytes() or 0
    made = problem.make(case, len(os.sched_getaffinity(0)))
    program = module.prepare(made, "training", **(contender.options or {}))
    program.call()
    planned = program.device_bytes()
    if contender.install == "torch":
        planned, held = None, planned
    else:
        held = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    if held is None and (peak := memory.peak_bytes()) is not None:
        held = peak - before
    return planned, held


if __name__ == "__main__":
    asked = stage.arguments(__doc__, "contender")
    device = "cpu" if asked.rehearse else "cuda"
    named = {c.name: c for c in contenders.contenders(device)}
    for case in suites.suite("memory.toml", rehearse=asked.rehearse):
        record = {"case": case.name, "contender": asked.contender}
        try:
            planned, held = peak_bytes(case, named[asked.contender])
            record |= {"planned_bytes": planned, "peak_bytes": held}
        except Exception as error:
            record["error"] = stage.in_a_line(error)
        stage.append(asked.out / "memory.jsonl", record)
        print(record, flush=True)
