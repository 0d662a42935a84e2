"""Text, character by character or byte by byte."""

import os
import warnings

import numpy as np

from jlstm import validation
from jlstm.train.data import verses, vocabulary
from jlstm.train.data.split import Data, Meaning, Stream

_LARGEST = 1 << 30  # bytes of a file; their tokens take four times as much
_LEVELS = ("characters", "bytes")


def text(*, path: str, level: str = "characters", valid: float = 0.05, test: float = 0.05) -> Data:
    """A text file to predict the next character of, or the next byte.

    The file begins with the training part. The validation part and the test part follow.

    The vocabulary has the characters of the training part and, as its first token, U+FFFD. This
    token replaces characters that only the other parts have. Such a replacement is warned of.

    Args:
      path: a file of UTF-8 text, or of anything if the level is "bytes".
      level: what a token is: "characters" or "bytes". Bytes need no vocabulary of the text.
      valid: the fraction of the text to choose the best model by. With 0, there is no such part.
      test: the fraction of the text to measure the chosen model by. With 0, there is no such part.

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
    """The King James Bible, 4.1 million characters of English, to predict the next of.

    The default path is that of Debian's package bible-kjv-text. A line is a verse, without its
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
    words = content if level == "bytes" else _characters(path, content)
    n = len(words)
    for_valid, for_test = int(n * valid), int(n * test)
    begins = n - for_valid - for_test, n - for_test
    for name, fraction, count in (
        ("train", 1 - valid - test, begins[0]),
        ("valid", valid, for_valid),
        ("test", test, for_test),
    ):
        if count < 2 and (fraction or name == "train"):
            raise ValueError(
                f"{path}: the {name} part would have {max(count, 0)} of {n} {level}; expected at "
                f"least 2. Change the fractions valid = {valid:g} and test = {test:g}, or take a "
                "longer text"
            )
    pieces = words[: begins[0]], words[begins[0] : begins[1]], words[begins[1] :]
    if isinstance(words, bytes):
        known = vocabulary.BYTES
        streams = [Stream(np.frombuffer(p, np.uint8).astype("int32")) for p in pieces]
    else:
        known = vocabulary.characters(pieces[0])
        _warn_of_unknown(path, pieces, known)
        streams = [Stream(vocabulary.encode(piece, known)) for piece in pieces]
    return Data(
        streams[0],
        streams[1] if for_valid else None,
        streams[2] if for_test else None,
        Meaning(vocabulary=known),
    )


def _characters(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte {error.start} of the file, {content[error.start]:#04x}, is "
            "not UTF-8. Convert the file (iconv -f LATIN1 -t UTF-8), or set level = 'bytes'"
        ) from None


def _warn_of_unknown(path: str, pieces: tuple[str, ...], known: tuple[str, ...]) -> None:
    """A warning that counts the characters which the training part does not have."""
    unknown = sorted(set("".join(pieces[1:])) - set(known))
    if unknown:
        count = sum(piece.count(one) for piece in pieces[1:] for one in unknown)
        warnings.warn(
            f"{path}: {count} characters after the training part do not occur in it and count as "
            f"unknown (U+FFFD): {validation.some([ascii(one) for one in unknown])}",
            stacklevel=4,
        )
