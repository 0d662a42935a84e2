"""Rows that belong to sequences: right values, padding, labels and parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlstm.train.data.tables import ragged
from jlstm.train.data.tables.sequences import sequences
from tests.train.data.tables.files import write

lengths = st.lists(st.integers(1, 6), min_size=4, max_size=9)
kinds = st.sampled_from(["classify", "label", "regress"])
shares = st.sampled_from([0, 1, 0.25])


def table(lengths, kind, seed):
    """Rows of sequences, mixed at random, each in its order."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(len(lengths)), lengths))
    a, b = rng.normal(5, 3, (2, len(owner)))
    columns = {"who": [f"s{n}" for n in owner], "a": a, "b": b}
    words = rng.permutation(["10", "9", "100"])
    if kind == "label":
        columns["y"] = words[np.arange(len(owner)) % 3]
    elif kind == "classify":
        columns["y"] = words[owner % 3]
    else:
        columns["y"] = owner + 0.25
    return columns


@given(lengths, kinds, shares, shares, st.integers(0, 99))
def test_each_sequence_is_in_one_part_with_its_steps(
    tmp_path_factory, lengths, kind, valid, test, seed
):
    columns = table(lengths, kind, seed)
    named = {"targets": "y"} if kind == "regress" else {"label": "y", "per_step": kind == "label"}
    path = write(tmp_path_factory.mktemp("sequences") / "a.csv", columns)
    options = dict(file=path, sequence="who", inputs=["b", "a"], valid=valid, test=test, seed=seed)
    data = sequences(**options, **named)
    meaning = data.meaning
    if kind != "regress":
        assert meaning.classes == tuple(c for c in ("9", "10", "100") if c in set(columns["y"]))
    assert (data.valid is None, data.test is None) == (not valid, not test)

    expected = {}  # what a sequence must be, by its first input
    who = np.array(columns["who"])
    for name in dict.fromkeys(columns["who"]):
        xs = np.stack([columns["b"], columns["a"]], -1)[who == name]
        expected[round(xs[0, 0], 3)] = xs, np.array(columns["y"])[who == name]
    for split in filter(None, data[:3]):
        assert split.xs.dtype == np.float32
        n = split.lengths if split.lengths is not None else [split.xs.shape[1]] * len(split.xs)
        assert max(n) == split.xs.shape[1]
        for one, targets, length in zip(split.xs, split.targets, n, strict=True):
            raw = one[:length] * np.array(meaning.input_scale) + meaning.input_mean
            xs, ys = expected.pop(min(expected, key=lambda first: abs(first - raw[0, 0])))
            np.testing.assert_allclose(raw, xs, atol=1e-5)
            assert not one[length:].any()
            if kind == "regress":
                value = targets * np.array(meaning.target_scale) + meaning.target_mean
                np.testing.assert_allclose(value, ys[0], rtol=1e-5)
            elif kind == "label":
                assert [meaning.classes[t] for t in targets[:length]] == list(ys)
                assert (targets[length:] == -1).all() and targets.dtype == np.int32
            else:
                assert meaning.classes[targets] == ys[0] and targets.dtype == np.int32
    assert not expected


def test_normalisation_is_of_the_training_steps(tmp_path):
    path = write(tmp_path / "a.csv", table([3, 5, 2, 4, 6, 1], "regress", 0))
    data = sequences(file=path, sequence="who", inputs="a", targets="y", valid=0, test=2)
    n = data.train.lengths[:, None]
    steps = data.train.xs[np.arange(data.train.xs.shape[1]) < n]
    np.testing.assert_allclose([steps.mean(), steps.std()], [0, 1], atol=1e-6)


def test_files_of_their_own(tmp_path):
    train, test = table([3, 2, 4, 2], "classify", 0), table([3, 2, 3], "classify", 1)
    usual = dict(file=write(tmp_path / "a.csv", train), sequence="who", inputs="a", label="y")
    usual |= dict(test_file=write(tmp_path / "b.csv", test))
    data = sequences(**usual, valid=0)
    assert len(data.train.xs) == 4 and data.valid is None and len(data.test.xs) == 3
    test["y"] = np.where(test["y"] == "9", "90", test["y"])
    row = list(test["y"]).index("90") + 2
    write(tmp_path / "b.csv", test)
    with pytest.raises(ValueError, match=rf"b.csv: row {row}, column 'y', is '90', a label that"):
        sequences(**usual, valid=0)
    with pytest.raises(
        ValueError, match=r"test = 0.5 and test_file are both given; leave out test"
    ):
        sequences(**usual, test=0.5)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, dict(label=None), "label is None and targets is None; expected one of them"),
        ({}, dict(targets="a"), "expected one of them"),
        ({}, dict(label=None, targets="a", per_step=True), "per_step is for labels"),
        ({}, dict(label=None, targets="a"), "row 3, column 'a', differs from row 2 of the same"),
        ({}, dict(inputs=["a", "y"]), "row 2, column 'y', is 'up', which is not a number"),
        ({}, dict(test=0.01), "test = 0.01 leaves none of the 4 sequences; set it to a number"),
        ({}, dict(valid=2, test=2), "leave none of the 4 sequences to train on"),
        ({"y": ["up"] * 8}, {}, "column 'y' has the one label 'up'; expected at least two"),
        (
            {"y": ["up", "up", "up", "down", *["up"] * 4]},
            {},
            "row 5, column 'y', differs from row 4 of the same sequence 'q'; give all its rows one",
        ),
        ({}, dict(seed=-1), "seed is -1"),
    ],
)
def test_options_that_do_not_fit_the_file(tmp_path, change, options, message):
    columns = {"who": [*"ppqqrrss"], "a": range(8), "y": ["up"] * 4 + ["down"] * 4} | change
    usual = dict(file=write(tmp_path / "a.csv", columns), sequence="who", inputs="a", label="y")
    with pytest.raises((TypeError, ValueError)) as error:
        sequences(**usual | options)
    assert message in str(error.value)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("per_step", [False, True])
def test_measured_numbers_are_no_labels(tmp_path, ending, per_step):
    if ending == "parquet":
        pytest.importorskip("pyarrow")

    def read(labels):
        columns = {"who": [*"qpqprrss"], "a": list(range(8)), "y": labels}
        file = write(tmp_path / f"a.{ending}", columns)
        usual = dict(file=file, sequence="who", inputs="a", valid=0)
        return sequences(**usual, label="y", per_step=per_step)

    for labels in (
        [3, 1, 3, 1, 2, 2, 3, 3],
        [1.0, 2.0] * 2 + [3.0] * 4,
        ["a", "0.5"] * 2 + ["b"] * 4,
    ):
        assert len(read(labels).meaning.classes) == 3
    words = (
        "row 3, column 'y', is '0.25', and each of its 3 .* in targets instead of label, .* round"
    )
    with pytest.raises(ValueError, match=rf"a.{ending}: {words}"):
        read([1.0, 0.25] * 2 + [3.0] * 4)
    with pytest.raises(ValueError, match="row 6, column 'y', is 'nan'"):
        read([1.0, 2.0] * 2 + [float("nan")] * 4)


def test_one_sequence_far_longer_than_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(ragged, "_LITTLE", 100)
    names = [f"s{n}" for n in range(200)] + ["long"] * 200
    path = write(tmp_path / "a.csv", {"who": names, "a": range(400), "y": range(400)})
    with pytest.raises(ValueError, match="sequence 'long' has 200 rows, but the 201 sequences"):
        sequences(file=path, sequence="who", inputs="a", label="y", per_step=True)
