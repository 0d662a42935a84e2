"""Prints lines of the commands. They may quote names from files, which are not trusted."""

from jlstm import validation


def say(line: str) -> None:
    """Prints a line. What is not printable is escaped, and a long line loses its middle.

    >>> say("weights of \\x1b[31m: left out")
    weights of \\x1b[31m: left out
    """
    print(validation.fitting(line))
