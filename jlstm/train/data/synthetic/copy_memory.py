"""The copying memory task: symbols to repeat after a long gap."""

from typing import Literal

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.data.synthetic import drawing, symbols

BLANK, DELIMITER = 0, 9


def copy_memory(
    *,
    gap: int = 1000,
    length: int = 10,
    inputs: Literal["number", "one_hot", "tokens"] = "number",
    train: int = 10000,
    valid: int = 0,
    test: int = 1000,
    seed: int = 0,
) -> Data:
    """The copy memory task of Bai, Kolter and Koltun 2018 (arXiv 1803.01271).

    It is for the task label. A sequence has T = gap + 2 * length steps: `length` symbols drawn from
    1 to 8, gap - 1 blanks (0), and length + 1 delimiters (9). The target is 0 at every step but the
    last `length`, where it is the first symbols in their order. As in the paper's code, the loss
    counts all steps.

    A model that remembers nothing reaches a loss of length * ln 8 / T, which at a gap of 1000 is
    0.0204. That is also what the paper states for its LSTM.

    targets is int32 [N, T], of 10 classes.

    Args:
      gap: the T of the paper, at least 1.
      length: symbols to repeat.
      inputs: "number": xs is float32 [N, T, 1], the symbol as a number from 0 to 9, as in the code
        of the paper. "one_hot": float32 [N, T, 10]. "tokens": int32 [N, T], for a model with an
        embedding.
      train, valid, test: numbers of sequences.
      seed: of the random numbers.

    Raises:
      TypeError, ValueError: a number is too small or not whole, or inputs is not known.

    >>> xs, targets, _ = copy_memory(gap=3, length=2, inputs="tokens", train=1, test=0).train
    >>> xs.tolist(), targets.tolist()
    ([[7, 6, 0, 0, 9, 9, 9]], [[0, 0, 0, 0, 0, 7, 6]])
    """
    gap, length = drawing.whole("gap", gap, low=1), drawing.whole("length", length, low=1)
    validation.known_name("inputs", inputs, ("number", "one_hot", "tokens"))

    def draw(rng: np.random.Generator, n: int) -> Split:
        remembered = rng.integers(1, 9, size=(n, length), dtype=np.int32)
        tokens = np.full((n, gap + 2 * length), BLANK, np.int32)
        targets = tokens.copy()
        tokens[:, :length] = targets[:, -length:] = remembered
        tokens[:, -length - 1 :] = DELIMITER
        if inputs == "number":
            return Split(tokens[..., None].astype(np.float32), targets)
        return Split(symbols.encoded(tokens, 10, inputs), targets)

    names = tuple(map(str, range(10)))
    meaning = Meaning(classes=names, vocabulary=names if inputs == "tokens" else ())
    return drawing.data(draw, train=train, valid=valid, test=test, seed=seed, meaning=meaning)
