"""The command line: jlstm bench | train | eval | info."""

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
    """Time a network beside other LSTMs; without a config, a suite that ends within a minute."""

    config: Annotated[pathlib.Path | None, tyro.conf.Positional] = None
    """TOML file with a [network] and, if need be, a [bench] table."""
    out: pathlib.Path | None = None
    """File that records are appended to, one JSON line a measurement; without it none are kept."""
    seconds: float | None = None
    """Seconds of steady-state rounds for each case and mode; 2 unless said otherwise."""


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

        bench.run(command.config, command.out, command.seconds)
    elif isinstance(command, Train):
        from jlstm.train import command as train

        train.train(command.config, command.out)
    elif isinstance(command, Eval):
        from jlstm.train import command as train

        train.evaluate(command.model)
