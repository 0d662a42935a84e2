"""Compiles for chips that need not be present: compile time, memory, collectives, cost of a step.

Nothing is run. For TPUs, the cost is the compiler's estimate of cycles. The estimate counts main
memory access as free, and it has not been compared with a real chip. For GPUs, the cost is the
number of kernel launches.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any

from jlstm.bench import launches, old_libtpu, targets
from jlstm.bench.cases import Case
from jlstm.files import config_toml
from jlstm.kernels.unrolled import UNROLL

IMPLEMENTATIONS = {"scan": "scan", "tpu": "auto", "gpu": "auto", "divided": "divided"}
_LIMIT = 600
_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_LOG_DIR": "disabled",  # the logs would take gigabytes
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def compile_one(
    case: Case,
    target: str,
    mode: str,
    name: str,
    *,
    precision: str | None = None,
    estimate: bool = False,
) -> dict[str, Any]:
    """Compiles one program. Returns the worker's results, or a dictionary with "error".

    Args:
      case: the network and the shape of its input.
      target: "h100", a chip of targets.TPUS, or a slice of these such as "v5e:2x2".
      mode: "forward" or "training".
      name: "scan", "tpu", "gpu", or "divided" to shard hidden units over two chips of a slice.
      precision: precision of float32 products.
      estimate: add "cycles" per step for a TPU, which needs a second compilation. "launches" per
        step for a GPU are always included.
    """
    steps = case.shape.time_steps
    turn = UNROLL if IMPLEMENTATIONS[name] == "auto" else 1
    asked = {
        "target": target,
        "network": config_toml.dumps(case.config),
        "time_steps": steps,
        "batch_size": case.shape.batch_size,
        "mode": mode,
        "implementation": IMPLEMENTATIONS[name],
        "precision": precision,
    }
    if target == "h100":
        with tempfile.TemporaryDirectory() as folder:
            flags = f"--xla_gpu_cuda_data_dir={targets.toolkit()} --xla_dump_to={folder}"
            found = _worker(asked, {"XLA_FLAGS": flags})
            if "error" not in found:
                # Steps left over from unrolled iterations run after the loop.
                found["launches"] = launches.a_step(folder, found["turns"], steps - steps % turn)
        return found
    found = _worker(asked, {})
    if "error" in found or not estimate:
        return found
    with tempfile.TemporaryDirectory() as folder:
        # The analysis may end its process, so it runs in a separate one.
        _worker(asked, {"LIBTPU_INIT_ARGS": f"--xla_jf_dump_static_llo_profile_to={folder}"})
        found["cycles"] = cycles_a_step(found, _estimates(folder), steps, turn)
    return found


def cycles_a_step(
    found: dict[str, Any], estimates: dict[str, int], steps: int, unroll: int
) -> float | None:
    """The estimated cycles per step of the recurrence; None if an estimate is missing.

    An operation in a loop is counted once and runs in every iteration. A kernel runs once for all
    steps. Products before and after the loop are left out: they are the same in both
    implementations.
    """
    if found["kernels"]:
        # An estimate of 0 means that the analysis gave up.
        own = [estimates.get(name) or None for name in found["kernels"]]
        return None if None in own else sum(n for n in own if n is not None) / steps
    own = [estimates[name] for name in found["in_loops"] if name in estimates]
    return sum(own) / unroll if own else None


def _worker(asked: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "jlstm.bench.compile_worker", json.dumps(asked)],
            env={**os.environ, **_ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not compiled within {_LIMIT} s"}
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    if (reason := old_libtpu.clash(done.stderr)) is not None:
        return {"error": reason}
    text = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
    told = [line for line in text if re.search(r"Error|RESOURCE|Ran out", line)]
    return {"error": (told or text)[-1][:300]}


def _estimates(folder: str) -> dict[str, int]:
    """The compiler's cycle estimates, by the operation's name in the program."""
    found = {}
    for path in pathlib.Path(folder).iterdir():
        text = path.read_text()
        named = re.search(r'hlo_op_name: "([^"]+)"', text)
        cycles = re.search(r"estimated_cycles: (\d+)", text)
        if named and cycles:
            name = re.sub(r"\.refs_[\w.]*$", "", named.group(1))
            found[name] = found.get(name, 0) + int(cycles.group(1))
    return found
