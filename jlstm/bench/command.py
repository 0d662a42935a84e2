"""jlstm bench: a progress bar, a table, and records."""

import contextlib
import dataclasses
import json
import os
import pathlib
import time
from typing import IO, Any

import jax
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from jlstm import config_toml, info, validation
from jlstm.bench import cases
from jlstm.bench.compare import CONTENDERS, MODES, Outcome, compare

QUICK_SECONDS = 2.0


def run(path: pathlib.Path | None, out: pathlib.Path | None, seconds: float | None) -> None:
    """Measures the case in the TOML file at `path`, or the quick suite."""
    suite = cases.QUICK if path is None else (cases.from_file(path),)
    seconds = QUICK_SECONDS if seconds is None else validation.number("--seconds", seconds, low=0.0)
    with contextlib.ExitStack() as stack:
        # Opened first: a place that cannot be written is known before anything is measured.
        file = None if out is None else stack.enter_context(open(out, "a", encoding="utf-8"))
        progress = stack.enter_context(Progress(transient=True))
        bar = progress.add_task("compiling", total=len(suite) * len(CONTENDERS) * len(MODES))
        for case in suite:
            outcome = compare(
                case,
                seconds,
                lambda name, case=case: progress.update(
                    bar, advance=1, description=f"{case.name}: {name}"
                ),
            )
            if file is not None:
                _write(file, case, outcome)
            _print(progress.console, case, outcome)


def _print(console: Console, case: cases.Case, outcome: Outcome) -> None:
    shape, sizes = case.shape, [layer.hidden_size for layer in case.config.layers]
    table = Table(
        "contender", "mode", *("lower ms", "compile ms", "first ms", "median ms", "spread ms"),
        "GFLOP/s", "memory MB",
        title=f"{case.name}: T {shape.time_steps}, B {shape.batch_size}, "
        f"I {case.config.input_size}, H {sizes}, {case.config.dtype}",
    )  # fmt: skip
    for (name, mode), t in outcome.timings.items():
        flops = case.flops * (3 if mode == "training" else 1)
        times = (t.lower_s, t.compile_s, t.first_call_s, t.median_s, t.spread_s)
        table.add_row(
            name, mode, *(f"{1000 * s:.3g}" for s in times),
            f"{flops / t.median_s / 1e9:.3g}", f"{t.memory_bytes / 1e6:.3g}",
        )  # fmt: skip
    console.print(table)
    for name, reason in outcome.left_out.items():
        console.print(f"{name} was not timed: {reason}")


def _write(file: IO[str], case: cases.Case, outcome: Outcome) -> None:
    device = jax.devices()[0]
    common: dict[str, Any] = {
        "case": case.name,
        "config": config_toml.dumps(case.config),
        "dtype": case.config.dtype,
        **dataclasses.asdict(case.shape),
        "flops_forward": case.flops,
        "versions": info.versions(),
        "device": f"{device.platform}: {device.device_kind}",
        "cpus": os.cpu_count(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    for (name, mode), timing in outcome.timings.items():
        record = common | {"contender": name, "mode": mode} | dataclasses.asdict(timing)
        file.write(json.dumps(record) + "\n")
    for name, reason in outcome.left_out.items():
        file.write(json.dumps(common | {"contender": name, "left_out": reason}) + "\n")
    file.flush()
