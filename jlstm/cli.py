"""The command line: jlstm bench | check | report | train | eval | convert | export | info."""

import dataclasses
import pathlib
import sys
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Info:
    """Print versions, devices, and which implementations of the recurrence serve and why not."""


@dataclasses.dataclass(frozen=True)
class Check:
    """Check the contracts on every implementation that serves here, and time them.

    Within five minutes on 2 cores. What it prints is what to report of a TPU or GPU.
    """


@dataclasses.dataclass(frozen=True)
class Bench:
    """Time a network beside other LSTMs, all with the same weights, once they agree.

    Without a file, a quick suite runs: within a minute on 2 cores beside flax and a scan by hand,
    within three minutes beside all contenders (pip install '.[peers]').
    """

    suite: Annotated[pathlib.Path | None, tyro.conf.Positional] = None
    """TOML file with [[case]] tables, or a config with a [network] and, if need be, a [bench]."""
    out: pathlib.Path | None = None
    """File that records are appended to, one JSON line a measurement; without it none are kept."""
    seconds: float | None = None
    """How long the rounds of each case and mode go on, 1 by default; five rounds at least."""
    threads: int | None = None
    """Processors that every contender is kept to; all unless said otherwise."""
    only: tuple[str, ...] = ()
    """Names of the contenders to compare with; all unless said otherwise."""
    compare: pathlib.Path | None = None
    """Records of an earlier run; what got slower or faster since then is said at the end."""
    compile_only: bool = False
    """Compile for --target and run nothing: compile time, memory, collectives, and what a step
    costs, by the compiler's estimate of cycles on a TPU, in launches on a GPU. Ends with 1 if
    anything could not be compiled."""
    target: str | None = None
    """A chip that need not be here, for --compile-only: v4, v5e, v5p, v6e, tpu7x, a slice of these
    such as v5e:2x2, or h100; v5e by default."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Write a Markdown report with tables and pictures on records that `jlstm bench` kept."""

    records: Annotated[pathlib.Path, tyro.conf.Positional]
    """The .jsonl file."""
    out: pathlib.Path | None = None
    """The Markdown file; by default beside the records, with the ending .md. Pictures go to a
    folder of the same name."""


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a network as a config says, and save it."""

    config: Annotated[pathlib.Path, tyro.conf.Positional]
    """TOML file with a [network] and a [train] table."""
    out: pathlib.Path | None = None
    """Where the model goes; by default what the config says."""


@dataclasses.dataclass(frozen=True)
class Eval:
    """Print the test accuracy of a model that `jlstm train` saved."""

    model: Annotated[pathlib.Path, tyro.conf.Positional]
    """The .safetensors file."""


@dataclasses.dataclass(frozen=True)
class Convert:
    """Move a network from one framework's file into another's.

    Kinds are told by file endings: jlstm .safetensors, torch .pt and .pth (a state dict), keras
    .keras and .weights.h5, onnx .onnx, tensorflow a checkpoint of TensorFlow 1 (.index, or the
    path without it) to read, .npz of arrays by variable name to read and write.
    """

    source: Annotated[pathlib.Path, tyro.conf.Positional]
    """The file to read."""
    out: Annotated[pathlib.Path, tyro.conf.Positional]
    """The file to write; one that is there is replaced."""
    from_: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """What the first is, where its ending does not say."""
    to: str | None = None
    """What the second is to be, likewise."""
    prefix: str | None = None
    """torch: what the names of the LSTM's weights begin with, such as "encoder."."""
    node: str | None = None
    """ONNX: the name of one LSTM node, to read that alone."""
    scope: tuple[str, ...] | None = None
    """TensorFlow: where the cells stand; several, lowest layer first, form one stack."""
    forget_bias: float | None = None
    """TensorFlow: what the cells add to the forget gate; 1 by default."""
    cell_clip: float | None = None
    """TensorFlow: the cells' cell_clip."""
    projection_clip: float | None = None
    """TensorFlow: the cells' proj_clip."""
    activation: str | None = None
    """TensorFlow: the cells' activation; tanh by default."""


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a network as StableHLO, to run with jax.export in programs without this library."""

    model: Annotated[pathlib.Path, tyro.conf.Positional]
    """The .safetensors file."""
    out: Annotated[pathlib.Path, tyro.conf.Positional]
    """The file to write."""
    streaming: bool = False
    """One step a call, in place of whole sequences."""
    without_params: bool = False
    """Leave the parameters out: they are the first argument of each call."""
    lengths: bool = False
    """Take the lengths of the sequences as an argument."""
    resets: bool = False
    """Take flags that say where the carry starts anew."""
    batch_major: bool = False
    """Sequences are [batch, time, features], not [time, batch, features]."""
    platforms: tuple[str, ...] = ("cpu", "cuda", "rocm", "tpu")
    """Platforms that the program is for."""


Command = (
    Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Info, tyro.conf.subcommand("info")]
)


def main() -> None:
    """Runs the command line; bad input is one line on standard error and exit code 2."""
    command = tyro.cli(Command, prog="jlstm", description="The LSTM for JAX.")  # type: ignore[arg-type]
    try:
        _run(command)
    except (ValueError, TypeError, ImportError, OSError) as error:
        print(f"jlstm: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("jlstm: stopped", file=sys.stderr)
        sys.exit(130)


def _run(command: object) -> None:
    # Each command brings in only what it needs.
    if isinstance(command, Check | Train | Eval | Convert | Export):
        from jlstm import info

        info.devices()  # JAX that cannot start is said here, in one line
    if isinstance(command, Info):
        from jlstm import info

        info.show()
    elif isinstance(command, Check):
        from jlstm.check import command as check

        sys.exit(0 if check.run() else 1)
    elif isinstance(command, Bench) and command.compile_only:
        _require_nothing_to_time(command)
        from jlstm.bench import cases, compiled

        suite = cases.from_file(command.suite or cases.QUICK)
        sys.exit(0 if compiled.run(suite, command.target or "v5e") else 1)
    elif isinstance(command, Bench):
        if command.target is not None:
            raise ValueError(
                f"--target {command.target!r} names a chip to compile for, as only --compile-only "
                "does; add that, or leave --target out to time on the device that is here"
            )
        from jlstm.bench import command as bench

        bench.run(
            command.suite,
            out=command.out,
            seconds=command.seconds,
            threads=command.threads,
            only=command.only,
            old=command.compare,
        )
    elif isinstance(command, Report):
        from jlstm.bench.report import command as report

        report.run(command.records, command.out)
    elif isinstance(command, Train):
        from jlstm.train import command as train

        train.train(command.config, command.out)
    elif isinstance(command, Eval):
        from jlstm.train import command as train

        train.evaluate(command.model)
    elif isinstance(command, Convert):
        from jlstm.interop import command as interop

        interop.convert(**vars(command))
    elif isinstance(command, Export):
        from jlstm.files.export import write

        write(
            command.model,
            command.out,
            streaming=command.streaming,
            without_params=command.without_params,
            lengths=command.lengths,
            resets=command.resets,
            time_major=not command.batch_major,
            platforms=command.platforms,
        )


def _require_nothing_to_time(command: Bench) -> None:
    names = ("out", "seconds", "threads", "only", "compare")
    given = [f"--{name}" for name in names if getattr(command, name) not in (None, ())]
    if given:
        raise ValueError(
            f"--compile-only runs nothing, so that {', '.join(given)} would have no effect; leave "
            "out one or the other"
        )
