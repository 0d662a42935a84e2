"""The command line: jlstm bench | report | train | eval | info."""

import dataclasses
import pathlib
import sys
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Info:
    """Print versions, devices, and which implementations of the recurrence serve and why not."""


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
    seconds: float = 1.0
    """How long the rounds of each case and mode go on; five rounds at least."""
    threads: int | None = None
    """Processors that every contender is kept to; all unless said otherwise."""
    only: tuple[str, ...] = ()
    """Names of the contenders to compare with; all unless said otherwise."""
    compare: pathlib.Path | None = None
    """Records of an earlier run; what got slower or faster since then is said at the end."""


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


Command = (
    Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
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
    if isinstance(command, Info):
        from jlstm import info

        info.show()
    elif isinstance(command, Bench):
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
