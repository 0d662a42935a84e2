"""Measures this library on a GPU within ten minutes, and writes a summary.

    PYTHONPATH=. python3 benchmarks/gpu/measure.py --out DIR

Each stage is a process with a time limit that writes its results as they come. If a stage hangs or
crashes, the others still run. The most important stages come first, because time may run out.
`--rehearse` runs every stage on the CPU in small shapes.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import stage as results
import summary

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
# XLA does not use command buffers while profiling unless a flag enables them.
WHOLE_LOOPS = (
    "--xla_gpu_enable_command_buffer=+WHILE --xla_enable_command_buffers_during_profiling=true"
)
# Autotuning takes time. It tries kernels that need more memory than the one it chooses, and it may
# choose differently in two programs.
UNTUNED = "--xla_gpu_autotune_level=0"
# Time limits are multiplied by this in a rehearsal, which runs on fewer and busier cores.
REHEARSAL_PATIENCE = 4


class Stage(NamedTuple):
    """One process.

    Attributes:
      name: its name in the summary.
      words: a script in this folder, and its arguments.
      limit_s: seconds after which it is stopped.
      flags: its XLA_FLAGS.
    """

    name: str
    words: tuple[str, ...]
    limit_s: float
    flags: str = ""


def stages() -> list[tuple[Stage, ...]]:
    """All stages in order. Those of one tuple run at the same time."""
    return [
        (Stage("inventory", ("inventory.py",), 120),),
        (Stage("timings of layers", ("timings.py", "layers.toml"), 180),),
        (Stage("launches", ("launches.py",), 60),),
        tuple(
            Stage(f"contracts of {name}", ("contracts.py", name), 150, UNTUNED)
            for name in ("cudnn", "auto", "scan")
        ),
        (Stage("timings of policies", ("timings.py", "policies.toml"), 80),),
        (Stage("timings of stacks", ("timings.py", "stacks.toml"), 80),),
        tuple(
            Stage(f"memory of {name}", ("memory.py", name), 60, UNTUNED)
            for name in ("jlstm cudnn", "jlstm scan", "flax linen", "torch TF32")
        ),
        (Stage("whole loops launched", ("launches.py",), 60, WHOLE_LOOPS),),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all stages. Returns 0 if all finished without errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the results")
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="minutes for all stages together; 9 by default"
    )
    parser.add_argument("--rehearse", action="store_true", help="run on the CPU in small shapes")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="STAGE",
        help="run only stages whose names begin with one of these",
    )
    asked = parser.parse_args(arguments)
    groups = [
        tuple(s for s in group if not asked.only or s.name.startswith(tuple(asked.only)))
        for group in stages()
    ]
    if not any(groups):
        names = ", ".join(stage.name for group in stages() for stage in group)
        parser.error(f"no stage begins with {' or '.join(asked.only)}; the stages are {names}")
    out: pathlib.Path = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.glob("*.jsonl")):
        parser.error(f"{asked.out} has results already; choose another folder with --out")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that stages are ended too
    end = time.monotonic() + 60 * asked.minutes
    good = True
    for group in filter(None, groups):
        for stage, ended in run(group, out, end, rehearse=asked.rehearse):
            print(f"{stage.name}: {ended}", flush=True)
            good = good and ended.startswith("finished")
        _write_summary(out)
    print(f"summary written to {asked.out / 'summary.md'}")
    return 0 if good else 1


def run(
    group: Sequence[Stage], out: pathlib.Path, end: float, *, rehearse: bool
) -> list[tuple[Stage, str]]:
    """Runs stages at the same time, and appends to stages.jsonl and log.txt how each ended.

    Args:
      group: the stages.
      out: the folder for results.
      end: the deadline, as a value of `time.monotonic`.
      rehearse: whether to run on the CPU in small shapes.
    """
    if end - time.monotonic() < 5:
        ended = [(stage, "not started: no time was left") for stage in group]
    else:
        ended = _run_now(group, out, end, rehearse=rehearse)
    for stage, how in ended:
        record = {"stage": stage.name, "flags": stage.flags, "ended": how}
        results.append(out / "stages.jsonl", record)
    return ended


def _run_now(
    group: Sequence[Stage], out: pathlib.Path, end: float, *, rehearse: bool
) -> list[tuple[Stage, str]]:
    begun, patience = time.monotonic(), REHEARSAL_PATIENCE if rehearse else 1
    logs = [tempfile.TemporaryFile() for _ in group]  # noqa: SIM115 - closed below
    processes: list[subprocess.Popen] = []
    ended: dict[str, str] = {}
    try:
        processes += (
            _start(s, out, log, rehearse=rehearse) for s, log in zip(group, logs, strict=True)
        )
        while len(ended) < len(group):
            seconds = time.monotonic() - begun
            for stage, process in zip(group, processes, strict=True):
                if stage.name in ended:
                    continue
                if (code := process.poll()) is not None:
                    how = "finished" if code == 0 else f"failed with exit code {code}"
                    ended[stage.name] = f"{how} after {seconds:.0f} s"
                elif seconds > min(patience * stage.limit_s, end - begun):
                    ended[stage.name] = f"stopped after {seconds:.0f} s"
                if stage.name in ended:
                    _kill(process)
            time.sleep(0.1)
    finally:
        for process in processes:
            _kill(process)
        with (out / "log.txt").open("a", encoding="utf-8") as file:
            for stage, log in zip(group, logs, strict=True):
                log.seek(0)
                text = log.read().decode(errors="replace")
                log.close()
                file.write(f"===== {stage.name}: {ended.get(stage.name, 'broken off')}\n{text}\n")
    return [(stage, ended[stage.name]) for stage in group]


def _start(stage: Stage, out: pathlib.Path, log: Any, *, rehearse: bool) -> subprocess.Popen:
    script, *rest = stage.words
    words = [sys.executable, str(HERE / script), *rest, "--out", str(out)]
    return subprocess.Popen(
        [*words, "--rehearse"] if rehearse else words,
        cwd=ROOT,
        env=environment(os.environ, stage.flags, rehearse=rehearse),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that its own processes can be stopped with it
    )


def environment(inherited: Mapping[str, str], flags: str, *, rehearse: bool) -> dict[str, str]:
    """Environment of a stage: this checkout on the path, no preallocation, XLA's flags."""
    paths = [str(ROOT), inherited.get("PYTHONPATH", "")]
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_FLAGS": " ".join(filter(None, [inherited.get("XLA_FLAGS", ""), flags])),
        **({"JAX_PLATFORMS": "cpu"} if rehearse else {}),
    }


def _kill(process: subprocess.Popen) -> None:
    """Kills a stage and its children. It does not wait for a process stuck in the driver."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)


def _write_summary(out: pathlib.Path) -> None:
    try:
        text = summary.write(out)
    except Exception:  # the results are already written, and more stages follow
        text = f"The summary could not be written:\n\n```\n{traceback.format_exc()}```\n"
    (out / "summary.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
