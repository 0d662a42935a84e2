"""The command `jlstm bench --compile-only`: a line for each program, then a table or JSON."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from jlstm import terminal
from jlstm.bench import compiled, targets
from jlstm.bench.cases import Case


def run(suite: Sequence[Case], target: str, *, as_json: bool = False) -> bool:
    """Compiles every case with the scan and with the target's kernel, and prints the results.

    Args:
      suite: the cases.
      target: "h100", a chip of targets.TPUS, or a slice of these such as "v5e:2x2".
      as_json: print one line of JSON instead of a table. A line for each program goes to standard
        error.

    Returns:
      True if everything compiled.

    Raises:
      ValueError: the target is not known, a batch is not divisible by its number of devices, or
        the compiler is not installed.
    """
    _require_divisible(suite, target)
    if (reason := targets.missing(target)) is not None:
        raise ValueError(reason)
    console = Console(stderr=as_json)
    gpu = target == "h100"
    what = "launches are those in loops" if gpu else "cycles are the compiler's estimate"
    table = Table(title=f"{target}: compiled, not run; {what}")
    for column in ("case", "mode", "implementation", "compile", "memory", "collectives"):
        table.add_column(column)
    table.add_column("launches per step" if gpu else "estimated cycles per step", justify="right")
    programs: list[dict[str, Any]] = []
    errors: set[str] = set()
    for case in suite:
        for mode in ("forward", "training"):
            for name in ("scan", "gpu" if gpu else "tpu"):
                found = compiled.compile_one(case, target, mode, name, estimate=True)
                row = _row(case, mode, name, found)
                programs.append(_record(case, mode, name, found))
                line = ", ".join(filter(None, row))
                if "error" in found:  # often the same for every program, and long
                    line += ": as before" if found["error"] in errors else f": {found['error']}"
                    errors.add(found["error"])
                console.print(line, markup=False, highlight=False)
                table.add_row(*row)
    if as_json:
        terminal.say_json({"target": target, "programs": programs})
    else:
        console.print(table)
    return not errors


def _require_divisible(suite: Sequence[Case], target: str) -> None:
    devices = targets.device_count(target)
    for case in suite:
        if case.shape.batch_size % devices:
            raise ValueError(
                f"case {case.name!r} has batch_size {case.shape.batch_size}, which cannot be "
                f"divided over the {devices} devices of {target}; expected a multiple of {devices}"
            )


def _record(case: Case, mode: str, name: str, found: dict[str, Any]) -> dict[str, Any]:
    record = {"case": case.name, "mode": mode, "implementation": name}
    if "error" in found:
        return record | {"error": found["error"]}
    costs = {"cycles": "estimated_cycles_per_step", "launches": "launches_per_step"}
    return {
        **record,
        "pallas_kernels": len(found["kernels"]),
        "compile_s": found["seconds"],
        "memory_bytes": found["temporary_bytes"],
        "collectives": found["collectives"],
        **{words: found[cost] for cost, words in costs.items() if cost in found},
    }


def _row(case: Case, mode: str, name: str, found: dict[str, Any]) -> list[str]:
    if "error" in found:
        return [case.name, mode, name, "failed", "", "", ""]
    if name == "tpu" and not found["kernels"]:
        name = "tpu (runs the scan)"
    collectives = ", ".join(f"{n} {k}" for k, n in found["collectives"].items() if n) or "none"
    cost = found.get("cycles", found.get("launches"))
    cost = "none given" if cost is None else f"{cost:.4g}"
    size = found["temporary_bytes"]
    memory = "not reported" if size is None else f"{size / 2**20:.1f} MiB"
    return [case.name, mode, name, f"{found['seconds']:.1f} s", memory, collectives, cost]
