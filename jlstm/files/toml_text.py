"""Parses TOML that is not trusted. Its shape is checked first, as tomllib has no limits.

tomllib keeps every prefix of a dotted key, calls itself for every nested array, and spends hundreds
of bytes on a table of four. A short text could therefore take gigabytes, or end in RecursionError.
"""

import re
import tomllib
from typing import Any

from jlstm import validation

LONGEST = 1 << 20  # characters of a text; a layer of a saved network takes some 700
_MOST_PARTS = 4  # of a dotted key, such as [network.layers]
_DEEPEST = 8  # arrays and inline tables within each other
_MOST_TABLES = 20_000  # tables and arrays, also those of dotted keys
_MOST_VALUES = 100_000  # keys, and items of arrays; the largest saved network has a quarter of them
_LONGEST_WORD = 200  # characters of a number or of a key without quotes

_TOKEN = re.compile(
    r"""
    \#[^\n]*                                 # a comment
  | (?P<string> "{3} | '{3} | ["'] )         # the beginning of a string
  | (?P<down> [\[{] )
  | (?P<up> [\]}] )
  | (?P<end> [=,\n] )
  | (?P<word> [^\s\#"'\[\]{}=,]+ )
    """,
    re.VERBOSE,
)
# What ends a string or escapes a character, by how the string begins. Two more quotes may stand
# before the three that end a string.
_ENDS = {
    '"': re.compile(r'\\.|"|\n'),
    "'": re.compile(r"'|\n"),
    '"""': re.compile(r'\\.|"""(?:"{0,2})', re.DOTALL),
    "'''": re.compile(r"'''(?:'{0,2})"),
}


def parsed(text: str, what: str) -> dict[str, Any]:
    """The tables of a text, in time and memory that are proportional to its length.

    Args:
      text: the text.
      what: what errors call it, such as the name of its file.

    Raises:
      ValueError: the text is not TOML, or is longer, deeper or more dotted than a config needs.

    >>> parsed("[network]\\ninput_size = 6", "the config")
    {'network': {'input_size': 6}}
    """
    _require_bounded(text, what)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        words = validation.fitting(str(error))
        raise ValueError(f"{what} is not valid TOML: {words}") from None


def _require_bounded(text: str, what: str) -> None:
    """ValueError if a text is too long, or its keys or nesting are. Strings do not count.

    Dots are counted between separators. A number has at most one, so this need not tell keys from
    values.
    """
    if len(text) > LONGEST:
        raise ValueError(f"{what} has more than {LONGEST} characters; expected a config, in TOML")

    depth = tables = values = dots = at = 0
    while token := _TOKEN.search(text, at):
        kind, word, at, wrong = token.lastgroup, token[0], token.end(), ""
        if kind == "word":
            dots += word.count(".")
            if len(word) > _LONGEST_WORD:
                wrong = f"a word of {len(word)} characters; expected at most {_LONGEST_WORD}"
            elif dots >= _MOST_PARTS:
                wrong = f"a key has more than {_MOST_PARTS} parts; [network.layers] has two"
        elif kind == "string":
            if not (end := _end(text, at, word)):
                wrong = "the string that begins here does not end, so this is not valid TOML"
            at = end
        elif kind == "down":
            depth, tables, dots = depth + 1, tables + 1, 0
            if depth > _DEEPEST:
                wrong = f"arrays or tables are nested more than {_DEEPEST} deep"
        elif kind == "up":
            # A heading has up to three dots, the last number of an array one.
            depth, tables, dots = max(0, depth - 1), tables + max(0, dots - 1), 0
        elif kind == "end":
            values += word != "\n"
            tables += dots if word == "=" else 0  # tomllib makes a table for each part of a key
            dots = 0
        if tables > _MOST_TABLES:
            wrong = f"more than {_MOST_TABLES} tables and arrays"
        elif values > _MOST_VALUES:
            wrong = f"more than {_MOST_VALUES} keys and items of arrays"
        if wrong:
            line = text.count("\n", 0, token.start()) + 1
            raise ValueError(f"{what}, line {line}: {wrong}")


def _end(text: str, at: int, quotes: str) -> int:
    """The place after a string whose content begins at `at`; 0 if it does not end."""
    for found in _ENDS[quotes].finditer(text, at):
        if found[0] == "\n":
            return 0
        if found[0][0] != "\\":
            return found.end()
    return 0
