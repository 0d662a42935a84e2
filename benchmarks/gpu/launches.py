"""Counts the GPU operations of one call in a profile; appends them to launches.jsonl."""

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
import stage

import jlstm

STEPS, BATCH, UNITS = 64, 32, 256
# Name -> (implementation, dtype, options of the layer).
PROGRAMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cudnn": ("cudnn", "float32", {}),
    "scan": ("scan", "float32", {}),
    "auto in bfloat16": ("auto", "bfloat16", {}),
    "auto with peepholes": ("auto", "float32", {"peepholes": True}),
}
# Driver functions that start work on a GPU.
STARTS = ("cuLaunch", "cuGraphLaunch", "cuMemcpy", "cuMemset")


def count_events(planes: Iterable[Any]) -> dict[str, dict[str, list[float]]]:
    """GPU operations, and driver calls: name -> [count, total milliseconds].

    A GPU's plane repeats its operations in lines that group them by module or source. Only lines of
    streams are counted.
    """
    on_device: dict[str, list[float]] = collections.defaultdict(lambda: [0, 0.0])
    by_host: dict[str, list[float]] = collections.defaultdict(lambda: [0, 0.0])
    for plane in planes:
        for line in plane.lines:
            stream = plane.name.startswith("/device:GPU") and line.name.startswith("Stream")
            for event in line.events:
                if stream:
                    total = on_device[event.name]
                elif plane.name.startswith("/host:") and event.name.startswith(STARTS):
                    total = by_host[event.name]
                else:
                    continue
                total[0] += 1
                total[1] += event.duration_ns / 1e6
    return {"on the device": dict(on_device), "by the host": dict(by_host)}


def compiled(name: str, mode: str, steps: int, batch: int, units: int) -> tuple[Any, Any]:
    """A program of PROGRAMS, "forward" or "training", and its arguments."""
    implementation, dtype, options = PROGRAMS[name]
    config = dataclasses.replace(jlstm.Config.stack(units, [units], **options), dtype=dtype)
    params = jlstm.init(jax.random.key(0), config)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, units)).astype(dtype)

    def forward(params: Any, xs: jax.Array) -> jax.Array:
        return jlstm.apply(config, params, None, xs, implementation=implementation)[1]

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        return jnp.square(forward(params, xs).astype("float32")).mean()

    function = forward if mode == "forward" else jax.grad(loss, (0, 1))
    return jax.jit(function).lower(params, xs).compile(), (params, xs)


def seconds_of_call(program: Any, arguments: Any) -> float:
    """The median seconds of 20 calls, after 3 to warm up."""
    taken = []
    for _ in range(23):
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[3:])


def profiled(program: Any, arguments: Any) -> dict[str, dict[str, list[float]]]:
    """The result of `count_events` for one call."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(program(*arguments))
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        return count_events(jax.profiler.ProfileData.from_file(str(path)).planes)


def run(out: pathlib.Path, steps: int, batch: int, units: int) -> None:
    """Times every program, then profiles every program, because profiling may slow later calls.

    Args:
      out: folder for the results.
      steps, batch, units: sizes of the network and its input.
    """
    sizes = {"steps": steps, "batch": batch, "units": units}
    flags, programs = os.environ.get("XLA_FLAGS", ""), {}
    for name in PROGRAMS:
        for mode in ("forward", "training"):
            record: dict[str, Any] = {"program": name, "mode": mode, "flags": flags, **sizes}
            try:
                programs[name, mode] = compiled(name, mode, **sizes)
                record["milliseconds"] = 1e3 * seconds_of_call(*programs[name, mode])
            except Exception as error:
                record["error"] = stage.in_a_line(error)
            stage.append(out / "launches.jsonl", record)
            print(record, flush=True)
    for (name, mode), program in programs.items():
        record = {"program": name, "mode": mode, "flags": flags, **sizes}
        try:
            record["operations"] = profiled(*program)
        except Exception as error:
            record["error"] = stage.in_a_line(error)
        stage.append(out / "launches.jsonl", record)
        print(record, flush=True)


if __name__ == "__main__":
    asked = stage.arguments(__doc__)
    run(asked.out, *((8, 2, 4) if asked.rehearse else (STEPS, BATCH, UNITS)))
