"""The embedded Reber grammar, string by string and as a stream without end."""

from typing import Literal

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Data, Meaning, Split, Stream
from jlstm.train.data.synthetic import drawing, symbols
from jlstm.train.data.synthetic.reber_grammar import SHORTEST, SYMBOLS, strings, successors


def embedded_reber(
    *,
    inputs: symbols.Form = "one_hot",
    train: int = 256,
    valid: int = 0,
    test: int = 256,
    seed: int = 0,
) -> Data:
    """Strings of the embedded Reber grammar, for the task label: what is the next symbol?

    It is experiment 1 of Hochreiter and Schmidhuber 1997. A string is B, then T or P, a string of
    the Reber grammar, the same T or P again, and E. All edges of the grammar are equally likely.
    The same string may occur several times, also in several parts.

    The target at each step is the next symbol of the string. `allowed` gives all symbols that the
    grammar allows there, and `prediction.correct` tells whether a model predicts them.

    With T one less than the longest string: xs is float32 [N, T, 7] or int32 [N, T], targets int32
    [N, T], lengths int32 [N].

    Args:
      inputs: "one_hot", or "tokens" for a model with an embedding.
      train, valid, test: numbers of strings.
      seed: of the random numbers.

    Raises:
      TypeError, ValueError: a number is too small or not whole, or inputs is not known.

    >>> xs, targets, lengths = embedded_reber(train=1, inputs="tokens").train
    >>> text = [SYMBOLS[token] for token in (xs[0, 0], *targets[0])]
    >>> "".join(text), lengths.tolist()
    ('BPBPVVEPE', [8])
    """
    validation.known_name("inputs", inputs, ("one_hot", "tokens"))

    def draw(rng: np.random.Generator, n: int) -> Split:
        tokens, lengths = strings(rng, n)
        rows = np.full((n, lengths.max()), -1, np.int8)
        rows[np.arange(lengths.max()) < lengths[:, None]] = tokens
        targets = rows[:, 1:].astype(np.int32)
        rows = np.where(targets >= 0, rows[:, :-1], -1)
        xs = symbols.encoded(rows, len(SYMBOLS), inputs)
        return Split(xs, targets, (lengths - 1).astype(np.int32))

    meaning = _meaning(inputs)
    return drawing.data(draw, train=train, valid=valid, test=test, seed=seed, meaning=meaning)


def continual_reber(
    *,
    steps: int = 1000,
    test_steps: int = 100000,
    inputs: Literal["one_hot", "tokens", "stream"] = "one_hot",
    train: int = 1000,
    valid: int = 0,
    test: int = 10,
    seed: int = 0,
) -> Data:
    """The continual embedded Reber grammar of Gers, Schmidhuber and Cummins 2000.

    Strings of `embedded_reber` follow each other without a separator, and nothing tells a network
    to reset its state. The paper tests with 10 streams of 100,000 symbols. A solution predicts all
    of them right. `prediction.right_at_first` counts the symbols before the first wrong prediction.

    For the task label each sequence begins with a string. xs is float32 [N, steps, 7] or int32
    [N, steps], targets int32 [N, steps]; valid and test have test_steps. For the task language,
    `inputs="stream"` joins the sequences of each part into one stream of whole strings, and a model
    keeps its state from batch to batch.

    Args:
      steps: symbols of each training sequence.
      test_steps: symbols of each validation and test sequence.
      inputs: "one_hot", "tokens" for a model with an embedding, or "stream".
      train, valid, test: numbers of sequences. A stream has at least steps + 1 symbols for each.
      seed: of the random numbers.

    Raises:
      TypeError, ValueError: a number is too small or not whole, or inputs is not known.

    >>> data = continual_reber(steps=12, train=1, test=0, inputs="tokens")
    >>> "".join(SYMBOLS[token] for token in data.train.xs[0])
    'BPBPVVEPEBPB'
    """
    steps = drawing.whole("steps", steps, low=1)
    test_steps = drawing.whole("test_steps", test_steps, low=1)
    validation.known_name("inputs", inputs, ("one_hot", "tokens", "stream"))

    def part(rng: np.random.Generator, n: int, steps: int) -> Split | Stream:
        each = -(-(steps + 1) // SHORTEST)  # strings that are enough, whatever their lengths
        tokens, lengths = strings(rng, n * each)
        if inputs == "stream":
            return Stream(tokens.astype(np.int32))
        starts = np.cumsum(lengths)[::each] - lengths[::each]
        rows = tokens[starts[:, None] + np.arange(steps + 1)]
        xs = symbols.encoded(rows[:, :-1], len(SYMBOLS), inputs)
        return Split(xs, rows[:, 1:].astype(np.int32))

    rngs = drawing.generators(seed)
    train = drawing.whole("train", train, low=1)
    valid, test = drawing.whole("valid", valid), drawing.whole("test", test)
    return Data(
        part(rngs.train, train, steps),
        part(rngs.valid, valid, test_steps) if valid else None,
        part(rngs.test, test, test_steps) if test else None,
        _meaning(inputs),
    )


def allowed(split: Split) -> np.ndarray:
    """The symbols that the grammar allows after each step of a split, bool [N, T, 7].

    Args:
      split: of `embedded_reber` or `continual_reber`. After the end of a string nothing is allowed.

    >>> allowed(embedded_reber(train=4).train).sum(axis=-1).max()
    np.int64(2)
    """
    return successors(symbols.decoded(split))


def _meaning(inputs: str) -> Meaning:
    return Meaning(
        classes=SYMBOLS,
        vocabulary=SYMBOLS if inputs != "one_hot" else (),
        inputs=SYMBOLS if inputs == "one_hot" else (),
    )
