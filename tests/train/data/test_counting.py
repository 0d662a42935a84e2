"""a^n b^n and a^n b^n c^n, against strings that are written letter by letter."""

import numpy as np
import pytest

from jlstm.train.data.synthetic import prediction, symbols
from jlstm.train.data.synthetic.counting import SYMBOLS, allowed, counting

LETTERS = {"anbn": "ab", "anbncn": "abc"}


def texts(language, split):
    """The string of each sequence of a split whose targets are all counted."""
    names = SYMBOLS[language]
    for row, target in zip(symbols.decoded(split), split.targets, strict=True):
        row, target = row[row >= 0], target[target >= 0]
        assert (row[1:] == target[:-1]).all()
        yield "".join(names[token] for token in (row[0], *target))


def string(language, n):
    return "S" + "".join(letter * n for letter in LETTERS[language]) + "T"


@pytest.mark.parametrize("inputs", ["one_hot", "tokens"])
@pytest.mark.parametrize("language", LETTERS)
def test_strings(language, inputs):
    data = counting(language=language, longest=6, test_longest=20, train=2000, inputs=inputs)
    assert list(texts(language, data.test)) == [string(language, n) for n in range(1, 21)]
    trained = list(texts(language, data.train))
    for n in range(1, 7):
        share = trained.count(string(language, n)) / 2000
        assert abs(share - 1 / 6) < 5 * (1 / 6 / 2000) ** 0.5
    assert set(trained) == {string(language, n) for n in range(1, 7)}
    for split in (data.train, data.test):
        assert split.lengths.dtype == split.targets.dtype == np.int32
        assert ((split.targets >= 0).sum(axis=1) == split.lengths).all()
        assert split.lengths.max() == split.targets.shape[1] == split.xs.shape[1]


@pytest.mark.parametrize("inputs", ["one_hot", "tokens"])
@pytest.mark.parametrize("language", LETTERS)
def test_what_is_allowed_is_how_strings_go_on(language, inputs):
    known = [string(language, n) for n in range(1, 30)]
    test = counting(language=language, test_longest=8, inputs=inputs).test
    may = allowed(test)
    for n, rows in enumerate(may, 1):
        row = string(language, n)
        for step, found in enumerate(rows):
            prefix = row[: step + 1]
            following = {one[step + 1] for one in known if one.startswith(prefix) and one != prefix}
            expected = following if step < len(row) - 1 else set()
            assert {SYMBOLS[language][place] for place in np.flatnonzero(found)} == expected


def test_steps_after_an_a_can_be_left_out():
    options = dict(language="anbncn", test_longest=5, train=50)
    every, some = counting(**options).test, counting(**options, targets="determined").test
    left_out = (some.targets < 0) & (every.targets >= 0)
    assert (left_out == (symbols.decoded(every) == SYMBOLS["anbncn"].index("a"))).all()
    assert (some.targets[~left_out] == every.targets[~left_out]).all()
    may = allowed(some)
    assert may.sum(axis=-1).max() == 1 and not may[left_out].any()
    # A model is judged by the other steps alone.
    scores = np.where(left_out[..., None], -allowed(every).astype(float), allowed(every))
    assert prediction.correct(scores, may).all()
    assert not prediction.correct(scores, allowed(every)).all()


def test_the_seed_decides():
    one, same, other = (counting(longest=30, valid=9, seed=seed) for seed in (1, 1, 2))
    assert (one.train.targets == same.train.targets).all()
    assert (one.valid.lengths == same.valid.lengths).all() and len(one.valid.lengths) == 9
    assert not (one.train.lengths == other.train.lengths).all()
    assert (one.test.xs == other.test.xs).all()
    assert counting(test_longest=0).test is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "abc"}, "language is 'abc', which is not known"),
        ({"longest": 0}, "longest is 0; expected a whole number of at least 1"),
        ({"test_longest": -1}, "test_longest is -1"),
        ({"targets": "all"}, "targets is 'all'"),
        ({"inputs": "onehot"}, "did you mean 'one_hot'?"),
    ],
)
def test_errors(options, said):
    with pytest.raises(ValueError) as caught:
        counting(**options)
    assert said in str(caught.value)
