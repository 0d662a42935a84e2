"""Measures this library on a GPU within ten minutes, and writes a summary.

    PYTHONPATH=. python benchmarks/gpu/measure.py --out DIR

Each stage is a process with a time limit. It writes results as they come, so that a stage that
hangs or crashes costs only itself. `--rehearse` runs every stage on the CPU in small shapes.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import summary

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
WHOLE_LOOPS = "--xla_gpu_enable_command_buffer=+WHILE"
# A rehearsal runs on fewer and busier cores than a machine with a GPU has.
REHEARSAL_PATIENCE = 4
# Tuning tries kernels that need more memory than the one that is chosen.
UNTUNED = "--xla_gpu_autotune_level=0"


class Stage(NamedTuple):
    """One process.

    Attributes:
      name: what the summary calls it.
      words: the script in this folder, and its arguments.
      limit_s: seconds after which it is stopped.
      flags: XLA_FLAGS.
    """

    name: str
    words: tuple[str, ...]
    limit_s: float
    flags: str = ""


def stages() -> list[tuple[Stage, ...]]:
    """All stages in order; those of one tuple run at the same time."""
    return [
        (Stage("inventory", ("inventory.py",), 60),),
        tuple(
            Stage(f"contracts of {name}", ("contracts.py", name), 150)
            for name in ("cudnn", "auto", "scan")
        ),
        (Stage("timings of layers", ("timings.py", "layers.toml"), 180),),
        (Stage("timings of policies", ("timings.py", "policies.toml"), 90),),
        (Stage("timings of stacks", ("timings.py", "stacks.toml"), 90),),
        (Stage("launches", ("launches.py",), 60),),
        (Stage("launches of whole loops", ("launches.py",), 60, WHOLE_LOOPS),),
        tuple(
            Stage(f"memory of {name}", ("memory.py", name), 90, UNTUNED)
            for name in ("jlstm cudnn", "jlstm scan", "flax linen", "torch TF32")
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all stages; 0 if each finished."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the results")
    parser.add_argument("--minutes", type=float, default=9.0, help="time for all stages together")
    parser.add_argument("--rehearse", action="store_true", help="small shapes, on the CPU")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="STAGE", help="first words of stages to run"
    )
    asked = parser.parse_args(arguments)
    groups = [
        tuple(s for s in group if not asked.only or s.name.startswith(tuple(asked.only)))
        for group in stages()
    ]
    if not any(groups):
        names = ", ".join(stage.name for group in stages() for stage in group)
        parser.error(f"no stage begins with {' or '.join(asked.only)}; there are {names}")
    out: pathlib.Path = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.glob("*.jsonl")):
        parser.error(f"{asked.out} holds results already; name another folder with --out")
    end = time.monotonic() + 60 * asked.minutes
    good = True
    for group in filter(None, groups):
        for stage, ended in run(group, out, end, rehearse=asked.rehearse):
            print(f"{stage.name}: {ended}", flush=True)
            good = good and ended.startswith("finished")
        (out / "summary.md").write_text(summary.write(out), encoding="utf-8")
    print(f"summary written to {asked.out / 'summary.md'}")
    return 0 if good else 1


def run(
    group: Sequence[Stage], out: pathlib.Path, end: float, *, rehearse: bool
) -> list[tuple[Stage, str]]:
    """Runs stages at the same time, and appends to stages.jsonl and log.txt how each ended.

    Args:
      group: the stages.
      out: the folder for results.
      end: what `time.monotonic` may come to at most.
      rehearse: whether they run on the CPU in small shapes.
    """
    if end - time.monotonic() < 5:
        ended = [(stage, "not started: no time was left") for stage in group]
    else:
        logs = [tempfile.TemporaryFile() for _ in group]  # noqa: SIM115 - closed below
        processes = [
            _start(s, out, log, rehearse=rehearse) for s, log in zip(group, logs, strict=True)
        ]
        begun = time.monotonic()
        ended = []
        for stage, process, log in zip(group, processes, logs, strict=True):
            patience = REHEARSAL_PATIENCE if rehearse else 1
            limit = min(patience * stage.limit_s, max(0.0, end - begun))
            ended.append((stage, _ended(process, begun, limit)))
            log.seek(0)
            text = log.read().decode(errors="replace")
            log.close()
            with (out / "log.txt").open("a", encoding="utf-8") as file:
                file.write(f"===== {stage.name}: {ended[-1][1]}\n{text}\n")
    with (out / "stages.jsonl").open("a", encoding="utf-8") as file:
        for stage, how in ended:
            file.write(json.dumps({"stage": stage.name, "flags": stage.flags, "ended": how}) + "\n")
    return ended


def _start(stage: Stage, out: pathlib.Path, log: object, *, rehearse: bool) -> subprocess.Popen:
    script, *rest = stage.words
    words = [sys.executable, str(HERE / script), *rest, "--out", str(out)]
    return subprocess.Popen(
        [*words, "--rehearse"] if rehearse else words,
        cwd=ROOT,
        env=environment(os.environ, stage.flags, rehearse=rehearse),
        stdin=subprocess.DEVNULL,
        stdout=log,  # type: ignore[arg-type]
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that its own processes can be stopped with it
    )


def environment(inherited: Mapping[str, str], flags: str, *, rehearse: bool) -> dict[str, str]:
    """Variables of a stage: this checkout first, no memory taken in advance, XLA's flags."""
    paths = [str(ROOT), inherited.get("PYTHONPATH", "")]
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_FLAGS": " ".join(filter(None, [inherited.get("XLA_FLAGS", ""), flags])),
        **({"JAX_PLATFORMS": "cpu"} if rehearse else {}),
    }


def _ended(process: subprocess.Popen, begun: float, limit_s: float) -> str:
    try:
        code = process.wait(max(0.0, begun + limit_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        code = None
    with contextlib.suppress(ProcessLookupError):  # its children too, if it crashed
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    seconds = time.monotonic() - begun
    if code is None:
        return f"stopped after {seconds:.0f} s"
    return f"{'finished' if code == 0 else f'failed with exit code {code}'} after {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
