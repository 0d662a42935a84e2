"""The command line: `jlstm` and the commands of jlstm.commands."""

import contextlib
import os
import re
import sys
from collections.abc import Sequence

import tyro

from jlstm import stopping, terminal, usage, validation
from jlstm.commands import (
    COMMANDS,
    Bench,
    Check,
    Command,
    Convert,
    Eval,
    Export,
    Info,
    Predict,
    Report,
    Sample,
    Train,
)
from jlstm.files import writing

# The environment variable that lets errors through as tracebacks.
TRACEBACK = "JLSTM_TRACEBACK"


def main() -> None:
    """Runs the command line. Bad input prints one line on standard error and exits with code 2."""
    try:
        code = 0
        if (answer := usage.answer(sys.argv[1:], COMMANDS)) is not None:
            print(answer)
        else:
            command = parsed(sys.argv[1:])
            shown = contextlib.nullcontext() if _traceback() else terminal.warning_lines()
            with stopping.in_order(), stopping.raised_again(), shown:
                code = _run(command)
        terminal.flush()
    except KeyboardInterrupt:
        stopping.exit_interrupted()
    except Exception as error:  # libraries raise anything for sizes that are too large
        if stopping.interrupted(error):
            stopping.exit_interrupted()
        if _traceback():
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


def _traceback() -> bool:
    return bool(os.environ.get(TRACEBACK))


def parsed(words: Sequence[str]) -> object:
    """The command that the arguments of `jlstm` name, with its options.

    Wrong arguments print an error and exit with code 2. --help exits with code 0.
    """
    config = (tyro.conf.DisallowNone, tyro.conf.FlagCreatePairsOff)
    if words[0] not in COMMANDS:  # completion, which needs all commands
        return tyro.cli(Command, prog="jlstm", args=words, config=config)  # type: ignore[arg-type]
    # The command by itself, so that hints name its options and its help, not those of others.
    name, *options = words
    if {"-h", "--help"} & set(options):
        print(usage.description(COMMANDS[name]))  # tyro would break its lines in mid-word
    return tyro.cli(
        COMMANDS[name], prog=f"jlstm {name}", description="", args=options, config=config
    )


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
    if isinstance(command, Train):
        from jlstm.train import launch

        launch.join(
            command.coordinator, command.processes, command.process, found=command.distributed
        )
    if isinstance(command, Check | Train | Eval | Predict | Sample | Convert | Export):
        from jlstm import info

        info.devices()  # raises a one-line error if JAX cannot start
    if isinstance(command, Info):
        from jlstm import info

        info.show(as_json=command.json)
    elif isinstance(command, Check):
        from jlstm.check import command as check

        return 0 if check.run(as_json=command.json) else 1
    elif isinstance(command, Bench) and command.compile_only:
        _require_nothing_to_time(command)
        from jlstm.bench import cases, compile_command

        suite = cases.from_file(command.suite or cases.QUICK)
        target = command.target or "v5e"
        return 0 if compile_command.run(suite, target, as_json=command.json) else 1
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
            only=_flat("--only", command.only),
            old=command.compare,
            as_json=command.json,
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
            changes=_flat("--set", command.set),
            as_json=command.json,
        )
        return code
    elif isinstance(command, Eval):
        from jlstm.train.command import evaluate

        evaluate.evaluate(command.model, season=command.season, as_json=command.json)
    elif isinstance(command, Predict):
        from jlstm.train.command import predict

        predict.predict(command.model, command.file, command.out)
    elif isinstance(command, Sample):
        from jlstm.train.command import sample

        sample.sample(
            command.model,
            command.prompt,
            length=command.length,
            temperature=command.temperature,
            top_k=command.top_k,
            seed=command.seed,
        )
    elif isinstance(command, Convert):
        from jlstm.interop import command as interop

        options = dict(vars(command))
        for name in ("prefix", "layer", "scope"):
            options[name] = list(_flat(f"--{name}", options[name])) or None
        interop.convert(**options)
    elif isinstance(command, Export):
        from jlstm.files.command import write
        from jlstm.files.export import PLATFORMS

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
            platforms=_flat("--platforms", command.platforms) or PLATFORMS,
        )
    return 0


def _flat(option: str, given: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The names after all uses of an option; none if it is not used."""
    for names in given:
        if not names:
            raise ValueError(f"{option} names nothing; put a name after it, or leave it out")
    return tuple(name for names in given for name in names)


def _require_nothing_to_time(command: Bench) -> None:
    names = ("out", "seconds", "threads", "only", "compare")
    given = [f"--{name}" for name in names if getattr(command, name) not in (None, ())]
    if given:
        raise ValueError(
            f"--compile-only runs nothing, so {', '.join(given)} would have no effect; leave out "
            "either --compile-only or the other options"
        )
