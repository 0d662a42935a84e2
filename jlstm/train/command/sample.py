"""The command `jlstm sample`."""

import codecs
import pathlib
import sys
from collections.abc import Iterable, Iterator

from jlstm import validation
from jlstm.train import sampling
from jlstm.train.command import loading
from jlstm.train.data import vocabulary


def sample(
    path: pathlib.Path,
    prompt: str,
    *,
    length: int = 500,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> None:
    """Prints a prompt and the text that a model continues it with, character by character.

    Args:
      path: the folder of a run, or its model file.
      prompt: the text to go on from.
      length, temperature, top_k, seed: as for `sampling.sampled`.

    Raises:
      TypeError, ValueError: there is no model, it is no language model, it does not know a
        character of the prompt, or an option is out of range.
      BrokenPipeError: nobody reads the output any more.
    """
    found = loading.load(path)
    known = found.meaning.vocabulary
    with validation.plain_errors(loading.file(path)):
        tokens = _tokens(prompt, known)
        made = sampling.sampled(
            found, tokens, length, temperature=temperature, top_k=top_k, seed=seed
        )
    for piece in _pieces(prompt, made, known):
        sys.stdout.write(_shown(piece))
        sys.stdout.flush()


def _tokens(prompt: str, known: tuple[str, ...]) -> list[int]:
    """The tokens of a prompt; ValueError if the model does not know all of it."""
    if not known:
        raise ValueError("the model has no vocabulary of texts, so it cannot read a prompt")
    tokens = vocabulary.encode(prompt, known).tolist()
    if known != vocabulary.BYTES and vocabulary.UNKNOWN in known:
        strange = known.index(vocabulary.UNKNOWN)
        unknown = sorted({c for c, t in zip(prompt, tokens, strict=True) if t == strange})
        if unknown:
            raise ValueError(
                f"the prompt has characters that the model's text does not have: "
                f"{validation.some([repr(one) for one in unknown])}; leave them out"
            )
    return tokens


def _pieces(prompt: str, tokens: Iterable[int], known: tuple[str, ...]) -> Iterator[str]:
    """The texts to print, one after the other. The last ends the line."""
    yield prompt
    try:
        yield from _texts(tokens, known)
    except KeyboardInterrupt:
        yield "\n"
        raise
    yield "\n"


def _texts(tokens: Iterable[int], known: tuple[str, ...]) -> Iterator[str]:
    """The text of each token. Of bytes, that of each whole character."""
    if known != vocabulary.BYTES:
        yield from (known[token] for token in tokens)
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    yield from (decoder.decode(bytes([token])) for token in tokens)
    yield decoder.decode(b"", final=True)


def _shown(piece: str) -> str:
    """A piece of text as the output can hold it.

    A terminal would obey control characters, which are shown as escapes there.
    """
    if sys.stdout.isatty():
        piece = "".join(c if c in "\n\t" else validation.printable(c) for c in piece)
    encoding = sys.stdout.encoding or "utf-8"
    return piece.encode(encoding, "replace").decode(encoding)
