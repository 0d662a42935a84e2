"""How many operations a step a GPU is given in one training step, counted in a profile."""

import collections
import dataclasses
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import lines

import jlstm

STEPS, BATCH, UNITS = 64, 32, 256
# Name -> (implementation, number format, options of the layer).
PROGRAMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cudnn": ("cudnn", "float32", {}),
    "scan": ("scan", "float32", {}),
    "auto in bfloat16": ("auto", "bfloat16", {}),
    "auto with peepholes": ("auto", "float32", {"peepholes": True}),
}
# The driver's functions by which a host starts work on a GPU.
STARTS = ("cuLaunch", "cuGraphLaunch", "cuMemcpy", "cuMemset")


def counted(planes: Iterable[Any]) -> dict[str, dict[str, int]]:
    """What a profile holds: operations on the GPU and calls of the driver, each by its name.

    A GPU's plane repeats its operations in lines that group them by module or source. Only lines of
    streams count.
    """
    on_device: collections.Counter[str] = collections.Counter()
    by_host: collections.Counter[str] = collections.Counter()
    for plane in planes:
        for line in plane.lines:
            if plane.name.startswith("/device:GPU") and line.name.startswith("Stream"):
                on_device.update(event.name for event in line.events)
            elif plane.name.startswith("/host:"):
                by_host.update(e.name for e in line.events if e.name.startswith(STARTS))
    return {"on the device": dict(on_device), "by the host": dict(by_host)}


def measured(name: str, mode: str, *, rehearse: bool) -> dict[str, Any]:
    """A program's time and counts, or why it cannot run.

    Args:
      name: one of PROGRAMS.
      mode: "forward" or "training".
      rehearse: whether it is made small.
    """
    implementation, dtype, options = PROGRAMS[name]
    steps, batch, units = (8, 2, 4) if rehearse else (STEPS, BATCH, UNITS)
    config = dataclasses.replace(jlstm.Config.stack(units, [units], **options), dtype=dtype)
    params = jlstm.init(jax.random.key(0), config)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, units)).astype(dtype)

    def forward(params: Any, xs: jax.Array) -> jax.Array:
        return jlstm.apply(config, params, None, xs, implementation=implementation)[1]

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        return jnp.square(forward(params, xs).astype("float32")).mean()

    found: dict[str, Any] = {"program": name, "mode": mode, "steps": steps, "batch": batch}
    found |= {"units": units, "flags": os.environ.get("XLA_FLAGS", "")}
    try:
        function = forward if mode == "forward" else jax.grad(loss, (0, 1))
        program = jax.jit(function).lower(params, xs).compile()
        found["milliseconds"] = 1e3 * _seconds(program, params, xs)
        found |= {f"operations {k}": v for k, v in _profiled(program, params, xs).items()}
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    return found


def _seconds(program: Any, *arguments: Any) -> float:
    """The median of 20 calls after 3."""
    taken = []
    for _ in range(23):
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[3:])


def _profiled(program: Any, *arguments: Any) -> dict[str, dict[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(program(*arguments))
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        return counted(jax.profiler.ProfileData.from_file(str(path)).planes)


if __name__ == "__main__":
    asked = lines.arguments(__doc__)
    for program in PROGRAMS:
        for mode in ("forward", "training"):
            found = measured(program, mode, rehearse=asked.rehearse)
            lines.append(asked.out / "launches.jsonl", found)
            print(found)
