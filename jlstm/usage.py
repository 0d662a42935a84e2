"""Texts of the command line: an overview, the version, the help above a command's options."""

import inspect
import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from importlib import metadata

from jlstm import validation

EXAMPLES = (
    ("time LSTMs of several libraries", "jlstm bench"),
    ("train on your own sequences", "jlstm train configs/forecast.toml"),
    ("change the format", "jlstm convert model.keras model.safetensors"),
)
OPTIONS = (
    ("show this text", "--help"),
    ("print the version", "--version"),
    ("print a script for Tab completion", "--tyro-print-completion bash"),
)
_MORE = (
    "`jlstm COMMAND --help` shows the options of a command.",
    "docs/command_line.md describes output, exit codes and environment variables.",
)
# Lines longer than this are hard to read.
_WIDEST = 100
# Options that tyro answers: completion of commands in a shell.
COMPLETION = ("--tyro-print-completion", "--tyro-write-completion")


def answer(words: Sequence[str], commands: Mapping[str, type]) -> str | None:
    """What to print if the arguments name no command; None if they name one.

    Args:
      words: the arguments of `jlstm`.
      commands: the class of each command, by its name. Its docstring begins with a summary.

    Raises:
      ValueError: the first word is neither a command nor an option. The message suggests one.

    >>> answer(["info"], {"info": int})
    """
    if not words or words[0] in ("-h", "--help"):
        return overview(commands)
    if words[0] == "--version":
        return f"jlstm {metadata.version('jlstm')}"
    if words[0] in commands or words[0].split("=")[0] in COMPLETION:
        return None
    kind, known = "option", ("--help", "--version", *COMPLETION)
    if not words[0].startswith("-"):
        kind, known = "command", tuple(commands)
    raise ValueError(
        f"there is no {kind} {validation.shown(words[0])}; {validation.nearest(words[0], known)}"
    )


def description(command: type, width: int | None = None) -> str:
    """The text above a command's options: its docstring in wrapped lines, then its example.

    Args:
      command: the command's class.
      width: columns; None for those of the terminal, but at most 100.
    """
    width = min(shutil.get_terminal_size().columns, _WIDEST) if width is None else width
    text, _, example = inspect.cleandoc(command.__doc__ or "").partition("Example: ")
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        for item in re.split(r"\n(?=- )", paragraph):
            lines += textwrap.wrap(
                " ".join(item.split()),
                width,
                subsequent_indent="  " if item.startswith("- ") else "",
                break_long_words=False,
                break_on_hyphens=False,
            )
        lines.append("")
    return "\n".join([*lines, "example:", f"  {' '.join(example.split())}", ""])


def overview(commands: Mapping[str, type], width: int = 80) -> str:
    """What each command does, in a line or two, the options without a command, and examples."""
    indent = max(map(len, commands)) + 4
    lines = ["The LSTM for JAX.", "", "usage: jlstm COMMAND [OPTIONS]", ""]
    for name, command in commands.items():
        summary = (command.__doc__ or "").split("\n\n")[0]
        head = f"  {name}".ljust(indent)
        lines += textwrap.wrap(summary, width, initial_indent=head, subsequent_indent=" " * indent)
    column = max(len(words) for _, words in (*OPTIONS, *EXAMPLES)) + 4
    lines += ["", "options:"]
    lines += [f"  {option}".ljust(column) + what for what, option in OPTIONS]
    lines += ["", "examples:"]
    lines += [f"  {example}".ljust(column) + f"# {what}" for what, example in EXAMPLES]
    return "\n".join([*lines, "", *_MORE])
