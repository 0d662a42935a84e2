"""What the command line answers without running a command: an overview, its version, a hint."""

import textwrap
from collections.abc import Mapping, Sequence
from importlib import metadata

from jlstm import validation

EXAMPLES = (
    ("time LSTMs of several libraries", "jlstm bench"),
    ("train on your own sequences", "jlstm train configs/forecast.toml"),
    ("change the format", "jlstm convert model.keras model.safetensors"),
)
# Options that tyro answers: completion of commands in a shell.
COMPLETION = ("--tyro-print-completion", "--tyro-write-completion")


def answer(words: Sequence[str], commands: Mapping[str, type]) -> str | None:
    """The answer to words that name no command; None if they name one.

    Args:
      words: the words behind `jlstm`.
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


def overview(commands: Mapping[str, type], width: int = 80) -> str:
    """What each command does, in a line or two, and examples."""
    indent = max(map(len, commands)) + 4
    lines = ["The LSTM for JAX.", "", "usage: jlstm COMMAND [OPTIONS]", ""]
    for name, command in commands.items():
        summary = (command.__doc__ or "").split("\n\n")[0]
        head = f"  {name}".ljust(indent)
        lines += textwrap.wrap(summary, width, initial_indent=head, subsequent_indent=" " * indent)
    lines += ["", "examples:"]
    wide = max(len(example) for _, example in EXAMPLES) + 4
    lines += [f"  {example}".ljust(wide) + f"# {what}" for what, example in EXAMPLES]
    return "\n".join([*lines, "", "`jlstm COMMAND --help` shows the options of a command."])
