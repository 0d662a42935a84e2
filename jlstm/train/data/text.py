"""Text, character by character or byte by byte."""

import os
import warnings
from typing import TypeVar

import numpy as np

from jlstm import validation
from jlstm.train.data import verses, vocabulary
from jlstm.train.data.split import Data, Meaning, Stream

_LARGEST = 1 << 30  # bytes of a file; their tokens take four times as much
_LEVELS = ("characters", "bytes")
_Words = TypeVar("_Words", str, bytes)


def text(*, path: str, level: str = "characters", valid: float = 0.05, test: float = 0.05) -> Data:
    """A text file, for the task language: what is the next character, or the next byte?

    The training part is the beginning of the file. The validation part follows, then the test part.

    The vocabulary has U+FFFD as its first token, then the characters of the training part. U+FFFD
    replaces characters that occur in the other parts only. A warning names these.

    Args:
      path: a file of UTF-8 text, or any file if the level is "bytes".
      level: what a token is: "characters" or "bytes". With "bytes" there are always 256 tokens.
      valid: the fraction of the text that is the validation part. 0: there is none.
      test: the fraction of the text that is the test part. 0: there is none.

    Raises:
      TypeError: an option is of the wrong type.
      ValueError: an option is out of range, or a part would have less than two tokens; or the file
        cannot be read, is empty, or is not UTF-8.
    """
    return _parts(path, _read(path), level, valid, test)


def bible(
    *,
    path: str = "/usr/lib/bible.data",
    level: str = "characters",
    valid: float = 0.05,
    test: float = 0.05,
) -> Data:
    """The King James Bible, 4.1 million characters of English, for the task language.

    The default path is that of Debian's package bible-kjv-text. A line is a verse without its
    number. Options, parts and errors are those of `text`.
    """
    if not os.path.exists(path):
        raise ValueError(
            f"{path}: there is no such file. Install it with `apt install bible-kjv-text`, or set "
            "`path` to where it is"
        )
    return _parts(path, verses.read(path, _read(path)), level, valid, test)


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        if (size := os.path.getsize(path)) > _LARGEST:
            raise ValueError(f"{path}: the file has {size} bytes; expected at most {_LARGEST}")
        with open(path, "rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None


def _parts(path: str, content: bytes, level: str, valid: float, test: float) -> Data:
    validation.known_name("level", level, _LEVELS)
    validation.number("valid", valid, low=0, below=1)
    validation.number("test", test, low=0, below=1)
    if not content:
        raise ValueError(f"{path}: the file is empty; expected text")
    if level == "bytes":
        known = vocabulary.BYTES
        parts = _cut(path, content, level, valid, test)
        tokens = [np.frombuffer(part, np.uint8).astype("int32") for part in parts]
    else:
        parts = _cut(path, _characters(path, content), level, valid, test)
        known = vocabulary.characters(parts[0])
        _warn_of_unknown(path, "".join(parts[1:]), known)
        tokens = [vocabulary.encode(part, known) for part in parts]
    streams = [Stream(one) if len(one) else None for one in tokens]
    return Data(Stream(tokens[0]), *streams[1:], meaning=Meaning(vocabulary=known))


def _cut(path: str, words: _Words, level: str, valid: float, test: float) -> list[_Words]:
    """The three parts, in the order of `Data`."""
    n = len(words)
    sizes = {"valid": int(n * valid), "test": int(n * test)}
    sizes = {"train": n - sum(sizes.values()), **sizes}
    for name, asked in (("train", True), ("valid", valid), ("test", test)):
        if asked and sizes[name] < 2:
            raise ValueError(
                f"{path}: the {name} part would have {max(sizes[name], 0)} of {n} {level}; "
                f"expected at least 2. Change the fractions valid = {valid:g} and test = {test:g}, "
                "or take a longer text"
            )
    first, second = sizes["train"], sizes["train"] + sizes["valid"]
    return [words[:first], words[first:second], words[second:]]


def _characters(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8").removeprefix("\N{BYTE ORDER MARK}")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte {error.start} of the file, {content[error.start]:#04x}, is "
            "not UTF-8. Convert the file (iconv -f LATIN1 -t UTF-8), or set level = 'bytes'"
        ) from None


def _warn_of_unknown(path: str, text: str, known: tuple[str, ...]) -> None:
    """Warns of characters of the validation and test parts that are not in the vocabulary."""
    unknown = sorted(set(text) - set(known))
    if unknown:
        warnings.warn(
            f"{path}: these characters do not occur in the training part and count as unknown "
            f"(U+FFFD): {validation.some([ascii(one) for one in unknown])}. The other parts have "
            f"{sum(map(text.count, unknown))} of them",
            stacklevel=4,
        )
