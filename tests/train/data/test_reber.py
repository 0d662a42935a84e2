"""The embedded Reber grammar, against an expression that is written apart from the automaton."""

import collections
import re

import numpy as np
import pytest

from jlstm.train.data.synthetic import prediction, symbols
from jlstm.train.data.synthetic.reber import SYMBOLS, allowed, continual_reber, embedded_reber
from jlstm.train.data.synthetic.reber_grammar import strings, successors

SEEDS = range(5)
LOWER = "T*V(?:PXT*V)*(?:V|PS)"
INNER = f"B(?:TS*X(?:S|X{LOWER})|P{LOWER})E"
REBER = re.compile(INNER)
EMBEDDED = re.compile(f"B(?:T{INNER}T|P{INNER}P)E")


def text(tokens):
    return "".join(SYMBOLS[token] for token in tokens if token >= 0)


def tokens_of(string):
    return np.array([[SYMBOLS.index(symbol) for symbol in string]])


# The lists of N. Schraudolph and F. Cummins, cnl.salk.edu/~schraudo/teach/NNcourse/reber.html.
IN = ["BTSSXXTVVE", "BPVVE", "BTXXVPSE", "BPVPXVPXVPXVVE", "BTSXXVPSE"]
OUT = ["BTSSPXSE", "BPTVVB", "BTXXVVSE", "BPVSPSE", "BTSSSE"]


@pytest.mark.parametrize("inner", IN + OUT)
@pytest.mark.parametrize("outer", ["TT", "PP", "TP", "PT"])
def test_published_strings(inner, outer):
    right = inner in IN and outer in ("TT", "PP")
    string = f"B{outer[0]}{inner}{outer[1]}E"
    assert bool(REBER.fullmatch(inner)) is (inner in IN)
    assert bool(EMBEDDED.fullmatch(string)) is right
    may = successors(tokens_of(string))[0]
    follows = [may[n, SYMBOLS.index(symbol)] for n, symbol in enumerate(string[1:])]
    assert all(follows) is right


@pytest.mark.parametrize("inputs", ["one_hot", "tokens"])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_string_is_of_the_grammar(seed, inputs):
    split = embedded_reber(train=1000, inputs=inputs, seed=seed).train
    xs = symbols.decoded(split)
    assert (split.lengths == (xs >= 0).sum(axis=1)).all()
    assert ((split.targets >= 0) == (xs >= 0)).all()
    assert xs.shape[1] == split.lengths.max() and split.targets.dtype == np.int32
    for x, target in zip(xs, split.targets, strict=True):
        assert EMBEDDED.fullmatch(text(x[:1]) + text(target))
        assert text(x) == "B" + text(target)[:-1]


def rows_of(rng, n):
    """n strings of the grammar as texts."""
    tokens, lengths = strings(rng, n)
    assert len(tokens) == lengths.sum() and len(lengths) == n
    every, ends = text(tokens), np.cumsum(lengths)
    return [every[end - length : end] for end, length in zip(ends, lengths, strict=True)]


@pytest.mark.parametrize("seed", SEEDS)
def test_all_edges_are_equally_likely(seed):
    n = 20000
    rows = rows_of(np.random.default_rng(seed), n)
    assert min(map(len, rows)) == 9
    # The mean by the equations of the nodes: 8 symbols for the grammar within, and 4 around it.
    assert abs(np.mean([len(row) for row in rows]) - 12) < 0.15
    counts = collections.Counter(rows)
    # A string of k choices has probability 2**-k.
    known = {"BTBTXSETE": 4, "BPBPVVEPE": 4, "BTBTSXSETE": 5, "BPBPTTVVEPE": 6}
    for string, choices in known.items():
        expected = n * 0.5**choices
        assert abs(counts[string] - expected) < 5 * expected**0.5


def test_what_is_allowed_is_what_strings_show():
    """Of many strings, all that begin alike go on in exactly the allowed ways."""
    rows = rows_of(np.random.default_rng(0), 30000)
    shown = {}
    for row in rows:
        for length in range(1, min(len(row), 9)):
            shown.setdefault(row[:length], set()).add(row[length])
    for prefix, following in shown.items():
        may = successors(tokens_of(prefix))[0, -1]
        assert {SYMBOLS[n] for n in np.flatnonzero(may)} == following, prefix


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_is_strings_one_after_the_other(seed):
    data = continual_reber(steps=50, test_steps=300, train=200, valid=3, test=2, seed=seed)
    assert data.train.xs.shape == (200, 50, 7) and data.train.lengths is None
    assert data.valid.xs.shape == (3, 300, 7) and data.test.targets.shape == (2, 300)
    for split in (data.train, data.valid, data.test):
        for x, target in zip(symbols.decoded(split), split.targets, strict=True):
            assert (x[1:] == target[:-1]).all()
            stream = text(x) + text(target[-1:])
            whole = re.match(f"(?:{EMBEDDED.pattern})*", stream).end()
            # The last string may be cut.
            follows = successors(tokens_of(stream[whole:]))[0] if stream[whole:] else []
            assert all(step.any() for step in follows) and len(stream) - whole < 60
    np.testing.assert_array_equal(
        np.take_along_axis(allowed(data.train), data.train.targets[..., None], -1), True
    )


def test_after_a_string_the_next_one_begins():
    may = successors(tokens_of("BTBTXSETEBPB"))[0]
    assert [text(np.flatnonzero(step)) for step in may[8:]] == ["B", "TP", "B", "TP"]


def test_a_stream_for_language_modelling():
    data = continual_reber(steps=50, train=20, test=1, test_steps=100, inputs="stream", seed=2)
    rows = continual_reber(steps=50, train=20, test=1, test_steps=100, seed=2).train
    tokens = data.train.tokens
    assert tokens.dtype == np.int32 and len(tokens) >= 20 * 51 and len(data.test.tokens) >= 101
    assert re.fullmatch(f"(?:{EMBEDDED.pattern})+", text(tokens))
    assert (tokens[:50] == symbols.decoded(rows)[0]).all()


def test_many_strings_are_drawn_in_parts():
    tokens, lengths = strings(np.random.default_rng(0), 2**16 + 3)
    assert len(lengths) == 2**16 + 3 and len(tokens) == lengths.sum()
    assert EMBEDDED.fullmatch(text(tokens[-lengths[-1] :]))


def test_predictions_are_judged_by_what_is_allowed():
    split = embedded_reber(train=30).train
    may = allowed(split)
    noise = np.random.default_rng(0).uniform(0, 0.4, may.shape)
    assert prediction.correct(may + noise, may).all()
    # One forbidden symbol above an allowed one, at one step of one string.
    scores = may + noise
    step = split.lengths[7] - 2
    scores[7, step, np.flatnonzero(~may[7, step])[0]] = 2
    right = prediction.correct(scores, may)
    assert not right[7, step] and right.sum() == right.size - 1
    assert prediction.right_at_first(right)[7] == step
    assert (np.delete(prediction.right_at_first(right), 7) == may.shape[1]).all()
    # The shown symbol alone is not enough where two are allowed.
    shown = np.eye(7)[split.targets]
    wrong = ~prediction.correct(shown, may)
    assert (wrong == (may.sum(axis=-1) == 2)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_not_correct(bad):
    may = np.array([[[True, False], [False, False]]])
    assert prediction.correct(np.array([[[bad, bad], [bad, bad]]]), may).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("scores", "may", "said"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3), bool), "expected the same"),
        (np.zeros((2, 3, 7)), np.zeros((2, 4, 7), bool), r"\(2, 4, 7\)"),
        (np.zeros((2, 3, 7)), np.zeros((2, 3, 7)), "float64; expected bool"),
    ],
)
def test_shapes_of_predictions(scores, may, said):
    with pytest.raises(ValueError, match=said):
        prediction.correct(scores, may)


def test_steps_until_an_error_need_one_row_a_sequence():
    with pytest.raises(ValueError, match=r"expected bool \[N, T\]"):
        prediction.right_at_first(np.ones(3, bool))
