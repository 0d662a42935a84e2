"""The command line: jlstm bench | check | report | train | eval | convert | export | info."""

import dataclasses
import os
import pathlib
import re
import sys
from typing import Annotated

import tyro

from jlstm import stopping, terminal, validation
from jlstm.files import writing

# The environment variable that lets errors through as tracebacks.
TRACEBACK = "JLSTM_TRACEBACK"
# Names after one flag, or after several of them: --scope a b, --scope a --scope b.
_Names = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction]


@dataclasses.dataclass(frozen=True)
class Info:
    """Print versions, devices, and whether each implementation works here, or why not."""


@dataclasses.dataclass(frozen=True)
class Check:
    """Test every implementation on this machine against the documented guarantees, and time it.

    This takes at most five minutes, and about one minute on 2 idle cores. Send its output with any
    report about a TPU or GPU.
    """


@dataclasses.dataclass(frozen=True)
class Bench:
    """Time jlstm against other libraries' LSTMs with the same weights.

    Only contenders whose results agree are timed. Without a file, a quick suite runs. On 2 cores it
    takes up to one minute against Flax and a hand-written scan, and up to three minutes against all
    contenders (pip install '.[peers]').
    """

    suite: Annotated[pathlib.Path | None, tyro.conf.Positional] = None
    """TOML file: a suite of [[case]] tables, or a config with [network] and optionally [bench]."""
    out: pathlib.Path | None = None
    """File to append records to, one JSON line per measurement; compressed if it ends in .gz.
    By default nothing is saved."""
    seconds: float | None = None
    """Seconds to measure each case and mode; 1 by default. At least five rounds are measured."""
    threads: int | None = None
    """Number of processors each contender may use; all by default."""
    only: tuple[str, ...] = ()
    """Names of the contenders to time jlstm against, such as "flax nnx"; all by default."""
    compare: pathlib.Path | None = None
    """Records file of an earlier run. The output ends with what became slower or faster."""
    compile_only: bool = False
    """Compile for --target and run nothing. The exit code is 1 if anything does not compile.
    Prints compile time, memory, collectives and the cost of a step.
    The cost is the estimated cycles on a TPU, or the kernel launches on a GPU."""
    target: str | None = None
    """Chip that --compile-only compiles for; v5e by default. This machine need not have it.
    One of v4, v5e, v5p, v6e, tpu7x, a slice of these such as v5e:2x2, or h100."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Write a Markdown report with tables and pictures from the records of `jlstm bench --out`."""

    records: Annotated[pathlib.Path, tyro.conf.Positional]
    """Records file to read (.jsonl or .jsonl.gz)."""
    out: pathlib.Path | None = None
    """Markdown file to write (.md); by default the path of the records with the extension .md.
    Pictures go to a folder of the same name without the extension. Existing files are replaced."""


@dataclasses.dataclass(frozen=True)
class Train:
    """Train the model that a config file describes, in a folder that holds all of the run.

    The folder gets the config as resolved, checkpoints, metrics, curves and the best model.
    Progress is shown on standard error. After Ctrl-C, or if the process is killed, --resume goes
    on.

    Example: jlstm train configs/digits.toml --set train.steps=500 optimizer.learning_rate=1e-3
    """

    config: Annotated[pathlib.Path, tyro.conf.Positional]
    """TOML file with the tables [data], [task], [network], [optimizer] and [train]."""
    out: pathlib.Path | None = None
    """Folder of the run; by default `out` of the table [train]."""
    resume: bool = False
    """Go on with the run that the folder holds. Begin one if it holds none."""
    overwrite: bool = False
    """Remove the run that the folder holds, and begin anew."""
    set: Annotated[_Names, tyro.conf.arg(metavar="TABLE.KEY=VALUE")] = ()
    """Values to replace in the config."""
    json: bool = False
    """Print one line of JSON at the end, and no progress."""


@dataclasses.dataclass(frozen=True)
class Eval:
    """Print the metrics of a trained model on the test split of its data."""

    model: Annotated[pathlib.Path, tyro.conf.Positional]
    """Folder of a run, or a model file (.safetensors) that `jlstm train` wrote."""
    json: bool = False
    """Print one line of JSON."""


@dataclasses.dataclass(frozen=True)
class Convert:
    """Convert a network from one framework's file to another's.

    The extension tells the format:
    - jlstm: .safetensors
    - torch: .pt or .pth (a state dict); .safetensors with --from or --to torch
    - torch, to read only: .ckpt, .bin
    - keras: .keras or .weights.h5
    - keras, to read only: other .h5 and .hdf5 files, a TensorFlow 2 checkpoint, the folder of a
      SavedModel
    - onnx: .onnx
    - tensorflow: .npz (arrays by variable name)
    - tensorflow, to read only: a TensorFlow 1 checkpoint (.index, or the path without it; V1 files)
    """

    source: Annotated[pathlib.Path, tyro.conf.Positional]
    """File to read."""
    out: Annotated[pathlib.Path, tyro.conf.Positional]
    """File to write. An existing file is replaced."""
    from_: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """Format of the file to read, if its extension does not tell.
    One of jlstm, keras, onnx, tensorflow, torch."""
    to: str | None = None
    """Format of the file to write, if its extension does not tell.
    One of jlstm, keras, onnx, tensorflow, torch."""
    prefix: _Names = ()
    """torch: prefix of the LSTM's weight names in the state dict, such as "encoder.".
    Several prefixes form one stack, lowest first."""
    node: str | None = None
    """onnx: name of an LSTM node; the stack with that node is read."""
    layer: _Names = ()
    """keras: name of an LSTM layer. Several names form one stack, lowest first."""
    scope: _Names = ()
    """tensorflow: variable scope of the cells. Several scopes form one stack, lowest first."""
    forget_bias: float | None = None
    """tensorflow: forget_bias of the cells; by default 1, or 0 for CudnnLSTM."""
    cell_clip: float | None = None
    """tensorflow: cell_clip of the cells."""
    projection_clip: float | None = None
    """tensorflow: proj_clip of the cells."""
    activation: str | None = None
    """tensorflow: activation of the cells; tanh by default."""
    network_only: bool = False
    """jlstm: leave out the readout of `jlstm train` and other arrays that the file holds beside the
    network. Only jlstm files have a place for these."""


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a network as StableHLO, which jax.export runs in programs without this library.

    The program of a model that `jlstm train` saved returns the scores of the classes.
    """

    model: Annotated[pathlib.Path, tyro.conf.Positional]
    """Model file to read (.safetensors)."""
    out: Annotated[pathlib.Path, tyro.conf.Positional]
    """File to write. An existing file is replaced."""
    streaming: bool = False
    """Run one step per call instead of whole sequences."""
    network_only: bool = False
    """Return the network's outputs, without the readout or other arrays that the file holds beside
    the network."""
    without_params: bool = False
    """Leave the parameters out of the file. Each call takes them as its first argument."""
    lengths: bool = False
    """Add an argument for the lengths of the sequences."""
    resets: bool = False
    """Add an argument for reset flags. A true flag resets the carry before its step."""
    batch_major: bool = False
    """Use sequences of shape [batch, time, features] instead of [time, batch, features]."""
    input_dtype: str | None = None
    """Floating-point format of the input, such as float32; by default the one that the network
    computes in."""
    platforms: tuple[str, ...] = ("cpu", "cuda", "rocm", "tpu")
    """Platforms to export the program for."""


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
    """Runs the command line. Bad input prints one line on standard error and exits with code 2."""
    about = (
        f"The LSTM for JAX. With {TRACEBACK}=1 in the environment, errors show where they arose."
    )
    try:
        command = tyro.cli(Command, prog="jlstm", description=about)  # type: ignore[arg-type]
        with stopping.in_order():
            code = _run(command)
        terminal.flush()
    except KeyboardInterrupt:
        print("jlstm: stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # libraries raise anything for sizes that are too large
        if os.environ.get(TRACEBACK):
            raise
        if isinstance(error, BrokenPipeError) and error.filename is None:
            terminal.drop()  # whoever reads the output, such as `head`, has read enough
            sys.exit(1)
        print(f"jlstm: {_said(error)}", file=sys.stderr)
        if isinstance(error, OSError):
            terminal.drop()
        sys.exit(2)
    if code:
        sys.exit(code)


def _said(error: Exception) -> str:
    """An error in one line that fits on a screen.

    An error that this library did not raise itself may be its fault, so the line says how to see
    where it arose.
    """
    words = writing.told(error) if isinstance(error, OSError) else str(error)
    if isinstance(error, OSError) and error.filename is None and error.strerror:
        words = f"cannot print: {error.strerror}"  # every file has a name
    said = " ".join(words.split("\n"))
    if not _expected(error):
        full = isinstance(error, MemoryError) or re.search("RESOURCE_EXHAUSTED|Out of memory", said)
        kind = type(error).__name__
        said = (
            f"{'out of memory; choose smaller sizes. ' if full else ''}{kind}"
            f"{': ' if said else ''}{said}"
        )
        return f"{validation.fitting(said)} ({TRACEBACK}=1 shows where this arose)"
    return validation.fitting(said)


def _expected(error: Exception) -> bool:
    if not isinstance(error, (ValueError, TypeError)):
        return isinstance(error, (ImportError, OSError))
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    module = "" if place is None else str(place.tb_frame.f_globals.get("__name__"))
    return module.partition(".")[0] == "jlstm"


def _run(command: object) -> int:
    """Runs a command, and returns the exit code."""
    # Each command imports only what it needs, so that the others start fast and need no extras.
    if isinstance(command, Check | Train | Eval | Convert | Export):
        from jlstm import info

        info.devices()  # raises a one-line error if JAX cannot start
    if isinstance(command, Info):
        from jlstm import info

        info.show()
    elif isinstance(command, Check):
        from jlstm.check import command as check

        return 0 if check.run() else 1
    elif isinstance(command, Bench) and command.compile_only:
        _require_nothing_to_time(command)
        from jlstm.bench import cases, compiled

        suite = cases.from_file(command.suite or cases.QUICK)
        return 0 if compiled.run(suite, command.target or "v5e") else 1
    elif isinstance(command, Bench):
        if command.target is not None:
            raise ValueError(
                f"--target is {command.target!r}, but only --compile-only compiles for a named "
                "chip; add --compile-only, or leave out --target to time on this machine's device"
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
        from jlstm.train.command import train

        code = train.train(
            command.config,
            out=command.out,
            resume=command.resume,
            overwrite=command.overwrite,
            changes=[own for given in command.set for own in given],
            as_json=command.json,
        )
        sys.exit(code)
    elif isinstance(command, Eval):
        from jlstm.train.command import evaluate

        evaluate.evaluate(command.model, as_json=command.json)
    elif isinstance(command, Convert):
        from jlstm.interop import command as interop

        options = dict(vars(command))
        for name in ("prefix", "layer", "scope"):
            options[name] = [own for given in options[name] for own in given] or None
        interop.convert(**options)
    elif isinstance(command, Export):
        from jlstm.files.command import write

        write(
            command.model,
            command.out,
            streaming=command.streaming,
            without_params=command.without_params,
            network_only=command.network_only,
            lengths=command.lengths,
            resets=command.resets,
            time_major=not command.batch_major,
            input_dtype=command.input_dtype,
            platforms=command.platforms,
        )
    return 0


def _require_nothing_to_time(command: Bench) -> None:
    names = ("out", "seconds", "threads", "only", "compare")
    given = [f"--{name}" for name in names if getattr(command, name) not in (None, ())]
    if given:
        raise ValueError(
            f"--compile-only runs nothing, so {', '.join(given)} would have no effect; leave out "
            "either --compile-only or the other options"
        )
