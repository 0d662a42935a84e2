"""Escapes names and other text from records, which anyone may have written, for Markdown."""

import os
import re
import urllib.parse

from jlstm.validation import printable

# Entities where a backslash would not do: `|` within a table, `$` for formulas, and HTML.
_ESCAPED = {ord(c): f"\\{c}" for c in "\\`*_[]~"} | {
    ord(c): f"&{name};"
    for c, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ("|", "#124"), ("$", "#36"))
}


def text(raw: str) -> str:
    """`raw` as Markdown that shows it, in one line. Control characters become escapes.

    >>> print(text("a|b <i> [x](y)"))
    a&#124;b &lt;i&gt; \\[x\\](y)
    """
    return printable(raw).translate(_ESCAPED)


def code(raw: str) -> str:
    """`raw` as code, in one line. Not for tables."""
    shown = printable(raw)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if "`" in shown else ""
    return f"{fence}{space}{shown}{space}{fence}"


def address(name: str) -> str:
    """The name of a file or folder as part of a link."""
    return urllib.parse.quote(os.fsencode(name))
