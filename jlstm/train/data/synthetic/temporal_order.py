"""Temporal order: classes that depend on the order of a few symbols among many."""

import itertools
from typing import Literal

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.data.synthetic import drawing, symbols

SYMBOLS = ("E", "B", "a", "b", "c", "d", "X", "Y")
SHORTEST, LONGEST = 100, 110
# First and last position of each relevant symbol, by how many there are.
PLACES = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}


def temporal_order(
    *,
    relevant: Literal[2, 3] = 2,
    inputs: symbols.Form = "one_hot",
    train: int = 50000,
    valid: int = 0,
    test: int = 2560,
    seed: int = 0,
) -> Data:
    """The temporal order problems of Hochreiter and Schmidhuber 1997, for the task classify.

    A sequence begins with E and ends with B. Between them are symbols drawn from a to d, except for
    2 (experiment 6a) or 3 (6b) that are X or Y. Their order decides the class, of 4 or 8: with two,
    XX is class 0, XY 1, YX 2, YY 3. Lengths are uniform from 100 to 110. With two, the relevant
    symbols are at positions 10 to 20 and 50 to 60; with three, at 10 to 20, 33 to 43 and 66 to 76.
    Positions count from 0, which is the position of E; the paper does not say what it counts from.

    xs is float32 [N, 110, 8] or int32 [N, 110], targets int32 [N], lengths int32 [N].

    Args:
      relevant: the number of symbols X or Y.
      inputs: "one_hot", or "tokens" for a model with an embedding.
      train, valid, test: numbers of sequences.
      seed: of the random numbers.

    Raises:
      TypeError, ValueError: a number is too small or not whole, or an option is not known.

    >>> data = temporal_order(train=1, test=0, inputs="tokens")
    >>> [SYMBOLS[token] for token in data.train.xs[0] if token > 5]
    ['X', 'X']
    >>> data.meaning.classes[data.train.targets[0]]
    'XX'
    """
    if validation.integer("relevant", relevant) not in PLACES:
        raise ValueError(f"relevant is {relevant}; expected 2 (experiment 6a) or 3 (6b)")
    validation.known_name("inputs", inputs, ("one_hot", "tokens"))
    e, b, x = (SYMBOLS.index(symbol) for symbol in "EBX")

    def draw(rng: np.random.Generator, n: int) -> Split:
        lengths = rng.integers(SHORTEST, LONGEST, size=n, dtype=np.int32, endpoint=True)
        tokens = rng.integers(2, 6, size=(n, LONGEST), dtype=np.int8)
        each = np.arange(n)
        targets = np.zeros(n, np.int32)
        for low, high in PLACES[relevant]:
            is_y = rng.integers(2, size=n, dtype=np.int8)
            tokens[each, rng.integers(low, high, size=n, endpoint=True)] = x + is_y
            targets = 2 * targets + is_y
        tokens[:, 0], tokens[each, lengths - 1] = e, b
        tokens[np.arange(LONGEST) >= lengths[:, None]] = -1
        return Split(symbols.encoded(tokens, len(SYMBOLS), inputs), targets, lengths)

    meaning = Meaning(
        classes=tuple(map("".join, itertools.product("XY", repeat=relevant))),
        vocabulary=SYMBOLS if inputs == "tokens" else (),
        inputs=SYMBOLS if inputs == "one_hot" else (),
    )
    return drawing.data(draw, train=train, valid=valid, test=test, seed=seed, meaning=meaning)
