"""Languages that a network must count for: a^n b^n and a^n b^n c^n."""

from typing import Literal

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.data.synthetic import drawing, symbols

# S is before a string and T after it. The language with two letters has no c.
SYMBOLS = {"anbn": ("S", "T", "a", "b"), "anbncn": ("S", "T", "a", "b", "c")}


def counting(
    *,
    language: Literal["anbn", "anbncn"] = "anbn",
    longest: int = 10,
    test_longest: int = 50,
    targets: Literal["next", "determined"] = "next",
    inputs: symbols.Form = "one_hot",
    train: int = 1000,
    valid: int = 0,
    seed: int = 0,
) -> Data:
    """The counting languages of Gers and Schmidhuber 2001, for the task label: what comes next?

    A string is S, n times a, n times b, with "anbncn" n times c, and T. In training n is uniform
    from 1 to `longest`. The test part has one string for each n from 1 to `test_longest`, in this
    order: those beyond `longest` show whether a network counts.

    After an a the next symbol is a or b, and everything else is determined. `allowed` gives all
    symbols that may follow, and `prediction.correct` tells whether a model predicts them. The paper
    trains with all allowed symbols as targets; the target here is one of them, the next symbol of
    the string. The last a of the longest training strings is always followed by b, which a model
    may learn too. `targets="determined"` therefore leaves out the steps with two allowed symbols.

    With k = 2 or 3 letters, m the largest n (`longest` or `test_longest`) and T = k m + 1: xs is
    float32 [N, T, k + 2] or int32 [N, T], targets int32 [N, T], lengths int32 [N].

    Args:
      language: "anbn" or "anbncn".
      longest: the largest n in training.
      test_longest: the largest n in the test part. 0 leaves the test out.
      targets: "next": the next symbol at each step. "determined": -1 after an a.
      inputs: "one_hot", or "tokens" for a model with an embedding.
      train, valid: numbers of strings.
      seed: of the random numbers.

    Raises:
      TypeError, ValueError: a number is too small or not whole, or an option is not known.

    >>> test = counting(longest=2, test_longest=2, inputs="tokens").test
    >>> ["".join(SYMBOLS["anbn"][token] for token in row) for row in test.targets if row[-1] >= 0]
    ['aabbT']
    >>> test.lengths.tolist()
    [3, 5]
    """
    validation.known_name("language", language, SYMBOLS)
    longest = drawing.whole("longest", longest, low=1)
    test_longest = drawing.whole("test_longest", test_longest)
    validation.known_name("targets", targets, ("next", "determined"))
    validation.known_name("inputs", inputs, ("one_hot", "tokens"))
    names = SYMBOLS[language]

    def arrays(n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = _strings(n, len(names) - 2)
        labels = rows[:, 1:].astype(np.int32)
        rows = np.where(labels >= 0, rows[:, :-1], -1)
        if targets == "determined":
            labels[rows == names.index("a")] = -1
        lengths = (len(names) - 2) * n + 1
        return symbols.encoded(rows, len(names), inputs), labels, lengths.astype(np.int32)

    meaning = Meaning(
        classes=names,
        vocabulary=names if inputs == "tokens" else (),
        inputs=names if inputs == "one_hot" else (),
    )
    xs, labels, lengths = arrays(np.arange(1, longest + 1))

    def draw(rng: np.random.Generator, number: int) -> Split:
        n = rng.integers(longest, size=number)
        return Split(xs[n], labels[n], lengths[n])

    data = drawing.data(draw, train=train, valid=valid, test=0, seed=seed, meaning=meaning)
    test = Split(*arrays(np.arange(1, test_longest + 1))) if test_longest else None
    return data._replace(test=test)


def _strings(n: np.ndarray, letters: int) -> np.ndarray:
    """The string of each n, int8 [N, letters * largest n + 2], -1 after its end."""
    place = np.arange(letters * n.max() + 2)
    count = n[:, None]
    rows = 2 + (place - 1) // count
    rows[:, 0] = 0
    rows = np.where(place == letters * count + 1, 1, rows)
    return np.where(place > letters * count + 1, -1, rows).astype(np.int8)


def allowed(split: Split) -> np.ndarray:
    """The symbols that the language allows after each step of a split of `counting`.

    bool [N, T, symbols]. At steps whose target is -1 no symbol is.

    >>> allowed(counting(longest=1).train)[0].astype(int).tolist()
    [[0, 0, 1, 0], [0, 0, 1, 1], [0, 1, 0, 0]]
    """
    tokens = symbols.decoded(split)
    names = SYMBOLS["anbncn" if tokens.max() == 4 else "anbn"]  # every string has its last letter
    may = split.targets[..., None] == np.arange(len(names))
    after_a = tokens == names.index("a")
    may[..., names.index("a")] |= after_a
    may[..., names.index("b")] |= after_a
    return may & (split.targets >= 0)[..., None]
