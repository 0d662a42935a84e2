"""Adding, copying and temporal order, against what the papers define."""

import functools
import hashlib

import numpy as np
import pytest

from jlstm.train.data.synthetic import symbols
from jlstm.train.data.synthetic.adding import adding, adding_1997
from jlstm.train.data.synthetic.copy_memory import copy_memory
from jlstm.train.data.synthetic.noisy_sines import noisy_sines
from jlstm.train.data.synthetic.reber import continual_reber, embedded_reber
from jlstm.train.data.synthetic.temporal_order import SYMBOLS, temporal_order

SEEDS = range(5)
SMALL = {
    "adding": functools.partial(adding, steps=12),
    "adding_1997": functools.partial(adding_1997, steps=40),
    "continual_reber": functools.partial(continual_reber, steps=30, test_steps=40),
    "copy_memory": functools.partial(copy_memory, gap=7, length=3),
    "embedded_reber": embedded_reber,
    "noisy_sines": functools.partial(noisy_sines, steps=9, horizon=3, valid=0),
    "temporal_order": temporal_order,
}


def same(one, other):
    return all(
        a is b is None or (a.shape == b.shape and (a == b).all())
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("source", SMALL.values(), ids=SMALL)
def test_the_seed_decides_and_parts_do_not_depend_on_each_other(source):
    data = source(train=20, valid=6, test=7, seed=3)
    assert same(data.train, source(train=20, test=0, seed=3).train)
    assert same(data.test, source(train=9, test=7, seed=3).test)
    assert same(data.valid, source(train=9, valid=6, test=1, seed=3).valid)
    assert not same(data.train, source(train=20, seed=4).train)
    assert not same(data.test, source(train=7, seed=3, test=0).train)
    assert data.valid.xs.shape[0] == 6 and data.test.xs.shape[0] == 7
    assert source(train=2, test=0).valid is None and source(train=2, test=0).test is None


@pytest.mark.parametrize("source", SMALL.values(), ids=SMALL)
def test_dtypes(source):
    train = source(train=4).train
    assert train.xs.dtype == np.float32
    assert train.targets.dtype in (np.float32, np.int32)
    assert train.lengths is None or train.lengths.dtype == np.int32


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("adding", "0905802b4079fed6"),
        ("adding_1997", "8bf78aed722e413c"),
        ("copy_memory", "1e9bff56cdfb08e9"),
        ("continual_reber", "f28c3f24141c3ab8"),
        ("embedded_reber", "8442139097577ba5"),
        ("temporal_order", "9ae1b1986f5ad620"),
    ],
)
def test_the_data_are_the_same_everywhere(name, digest):
    found = hashlib.sha256()
    for array in SMALL[name](train=50, seed=1).train:
        if array is not None:
            found.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))))
    assert found.hexdigest()[:16] == digest


@pytest.mark.parametrize("seed", SEEDS)
def test_adding(seed):
    steps = 12
    xs, targets, lengths = adding(steps=steps, train=4000, seed=seed).train
    numbers, marks = xs[..., 0], xs[..., 1]
    assert lengths is None
    assert set(np.unique(marks)) == {0, 1} and (marks.sum(axis=1) == 2).all()
    assert numbers.min() >= 0 and numbers.max() < 1 and abs(numbers.mean() - 0.5) < 0.01
    np.testing.assert_allclose(targets, (numbers * marks).sum(axis=1, keepdims=True), atol=1e-6)
    # All pairs of steps are marked, each as often: 4000 / 66, give or take 5 deviations.
    pairs, counts = np.unique(np.argwhere(marks)[:, 1].reshape(-1, 2), axis=0, return_counts=True)
    assert len(pairs) == steps * (steps - 1) // 2
    assert abs(counts - 4000 / 66).max() < 5 * (4000 / 66) ** 0.5
    # What is reached without looking at the numbers: the mean squared error around 1.
    assert abs(np.mean((targets - 1) ** 2) - 1 / 6) < 0.01


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("steps", [20, 105])
def test_adding_of_1997(steps, seed):
    xs, targets, lengths = adding_1997(steps=steps, train=3000, seed=seed).train
    assert set(lengths) == set(range(steps, steps + steps // 10 + 1))
    first = 0
    for x, target, length in zip(xs, targets, lengths, strict=True):
        numbers, marks = x[:length, 0], x[:length, 1]
        assert not x[length:].any()
        assert marks[0] == marks[-1] == -1 and set(marks[1:-1]) == {0, 1}
        assert abs(numbers).max() <= 1
        (places,) = np.nonzero(marks == 1)
        assert len(places) in (1, 2) and places[0] < max(10, steps // 2)
        assert len(places) == 1 or (places[0] < 10 and places[1] < steps // 2)
        first += len(places) == 1
        np.testing.assert_allclose(target, [0.5 + numbers[places].sum() / 4], atol=1e-6)
    # The first step is drawn by one mark or the other.
    share = 1 / 10 + 9 / 10 / (steps // 2 - 1)
    assert abs(first / 3000 - share) < 5 * (share / 3000) ** 0.5
    assert xs[..., 0].min() < -0.99 and xs[..., 0].max() > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_copy_memory(seed):
    gap, length = 30, 10
    xs, targets, lengths = copy_memory(gap=gap, train=500, seed=seed).train
    assert xs.shape == (500, gap + 20, 1) and targets.shape == (500, gap + 20) and lengths is None
    tokens = xs[..., 0]
    assert set(np.unique(tokens[:, :length])) == set(range(1, 9))
    # The layout of data_generator in the code of the paper.
    assert (tokens[:, length : length + gap - 1] == 0).all()
    assert (tokens[:, length + gap - 1 :] == 9).all()
    assert (targets[:, : length + gap] == 0).all()
    assert (targets[:, length + gap :] == tokens[:, :length]).all()


def test_copy_memory_in_other_forms():
    number, one_hot, tokens = (
        copy_memory(gap=4, train=5, inputs=inputs).train
        for inputs in ("number", "one_hot", "tokens")
    )
    assert (one_hot.xs.argmax(-1) == tokens.xs).all() and (one_hot.xs.sum(-1) == 1).all()
    assert (number.xs[..., 0] == tokens.xs).all() and tokens.xs.dtype == np.int32


def test_a_model_without_memory_has_the_loss_of_the_paper_in_copy_memory():
    targets = copy_memory(train=1).train.targets
    blind = np.where(targets > 0, np.log(8), 0)
    assert round(blind.mean(), 4) == 0.0204


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("relevant", "places", "classes"),
    [
        (2, [(10, 20), (50, 60)], "XX XY YX YY"),
        (3, [(10, 20), (33, 43), (66, 76)], "XXX XXY XYX XYY YXX YXY YYX YYY"),
    ],
)
def test_temporal_order(relevant, places, classes, seed):
    data = temporal_order(relevant=relevant, train=3000, seed=seed)
    xs, targets, lengths = data.train
    assert data.meaning.classes == tuple(classes.split())
    assert set(lengths) == set(range(100, 111)) and xs.shape[1] == 110
    counts = np.bincount(targets) / len(targets)
    assert len(counts) == 2**relevant and abs(counts - 0.5**relevant).max() < 0.05
    met = [set() for _ in places]
    for x, target, length in zip(xs, targets, lengths, strict=True):
        assert not x[length:].any() and (x[:length].sum(axis=1) == 1).all()
        text = "".join(SYMBOLS[token] for token in x[:length].argmax(axis=1))
        assert text[0] == "E" and text[-1] == "B" and set(text[1:-1]) <= set("abcdXY")
        found = [place for place, symbol in enumerate(text) if symbol in "XY"]
        assert len(found) == relevant
        assert "".join(text[place] for place in found) == data.meaning.classes[target]
        for places_met, place in zip(met, found, strict=True):
            places_met.add(place)
    assert met == [set(range(low, high + 1)) for low, high in places]


@pytest.mark.parametrize("inputs", ["one_hot", "tokens"])
def test_symbols_are_decoded(inputs):
    one_hot = temporal_order(train=50).train
    tokens = symbols.decoded(temporal_order(train=50, inputs=inputs).train)
    assert (np.sum(tokens >= 0, axis=1) == one_hot.lengths).all()
    assert (symbols.encoded(tokens, len(SYMBOLS), "one_hot") == one_hot.xs).all()
