"""Converts text to tokens of a vocabulary, and tokens to text.

A vocabulary is a tuple of texts, one for each token. There are three kinds, which `encode` and
`decode` recognise by these texts:

- Characters. If `UNKNOWN` is among them, it stands for every other character.
- The 256 bytes. Bytes from 128 on are lone surrogates, as in Python's error handler
  "surrogateescape".
- Longer texts, such as "C4 ". From the beginning of a text, the longest token that fits is taken.
"""

from collections.abc import Iterable

import numpy as np

from jlstm.validation import shown

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
BYTES = tuple(bytes([n]).decode("ascii", "surrogateescape") for n in range(256))
_BLOCK = 1 << 22  # characters that are converted at a time


def characters(text: str) -> tuple[str, ...]:
    """The vocabulary of a text's characters.

    Args:
      text: the text.

    Returns:
      UNKNOWN, then the characters of the text in their order.

    Raises:
      TypeError: `text` is not a text.

    >>> characters("hello")
    ('�', 'e', 'h', 'l', 'o')
    """
    _require_text(text)
    return UNKNOWN, *sorted(set(text) - {UNKNOWN})


def encode(text: str, vocabulary: tuple[str, ...]) -> np.ndarray:
    """The tokens of a text.

    Args:
      text: the text.
      vocabulary: the text of each token, by number.

    Returns:
      int32 [n].

    Raises:
      TypeError: `text` is not a text.
      ValueError: a part of the text is not a token, and UNKNOWN is not in the vocabulary.

    >>> encode("hexe", characters("hello"))
    array([2, 1, 0, 1], dtype=int32)
    """
    _require_text(text)
    if vocabulary == BYTES:
        return np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8).astype("int32")
    if max(map(len, vocabulary), default=0) > 1:
        return np.fromiter(_longest(text, vocabulary), "int32")
    points = np.array([ord(one) for one in vocabulary], np.uint32)
    order = np.argsort(points)
    tokens = np.empty(len(text), "int32")
    for at in range(0, len(text), _BLOCK):
        block = text[at : at + _BLOCK]
        read = np.frombuffer(block.encode("utf-32-le", "surrogatepass"), np.uint32)
        places = order[np.minimum(np.searchsorted(points, read, sorter=order), len(points) - 1)]
        strange = points[places] != read
        if strange.any():
            places[strange] = _unknown(block[int(strange.argmax())], vocabulary)
        tokens[at : at + len(block)] = places
    return tokens


def decode(tokens: Iterable[int], vocabulary: tuple[str, ...]) -> str:
    """The text of tokens.

    Args:
      tokens: whole numbers.
      vocabulary: the text of each token, by number.

    Returns:
      The text. Bytes that are not UTF-8 become UNKNOWN.

    Raises:
      ValueError: a token is not in the vocabulary.

    >>> decode([2, 1, 0], characters("hello"))
    'he�'
    """
    numbers = [int(token) for token in tokens]
    for number in numbers:
        if not 0 <= number < len(vocabulary):
            raise ValueError(
                f"token {number} is not in the vocabulary; expected 0 to {len(vocabulary) - 1}"
            )
    if vocabulary == BYTES:
        return bytes(numbers).decode("utf-8", "replace")
    return "".join(vocabulary[number] for number in numbers)


def _require_text(text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"the text is {shown(text)}; expected a str")


def _longest(text: str, vocabulary: tuple[str, ...]) -> Iterable[int]:
    number = {one: n for n, one in enumerate(vocabulary)}
    sizes = sorted({len(one) for one in vocabulary if one}, reverse=True)
    at = 0
    while at < len(text):
        for size in sizes:
            if (token := number.get(text[at : at + size])) is not None:
                break
        else:
            size, token = 1, _unknown(text[at : at + 20], vocabulary)
        yield token
        at += size


def _unknown(text: str, vocabulary: tuple[str, ...]) -> int:
    if UNKNOWN in vocabulary:
        return vocabulary.index(UNKNOWN)
    known = " ".join(map(shown, vocabulary[:8]))
    raise ValueError(
        f"the text {shown(text)} is not in the vocabulary; expected texts of its {len(vocabulary)} "
        f"tokens, such as {known}"
    )
