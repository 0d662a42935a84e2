"""Time series that aeon brings with it, and the files that they are in."""

import importlib.util
import pathlib

import numpy as np
import pytest

from jlstm.train.data import aeon, ts_file
from jlstm.train.data.holdout import held_out
from jlstm.train.data.split import Split

needs_aeon = pytest.mark.skipif(importlib.util.find_spec("aeon") is None, reason="needs aeon")
SOURCES = {
    "JapaneseVowels": aeon.japanese_vowels,
    "BasicMotions": aeon.basic_motions,
    "ItalyPowerDemand": aeon.italy_power_demand,
}
GOOD = """# a comment
@problemName Small
@classLabel true low high
@data
1,2,3:4,5,6:high

7:8:low
"""


@needs_aeon
def test_japanese_vowels_are_those_of_the_paper():
    train, valid, test, meaning, _ = aeon.japanese_vowels()
    assert valid is None and meaning.classes == tuple("123456789")
    assert train.xs.shape == (270, 26, 12) and test.xs.shape == (370, 29, 12)
    assert train.xs.dtype == "float32" and train.lengths.dtype == train.targets.dtype == "int32"
    np.testing.assert_array_equal(np.bincount(train.targets), [30] * 9)
    np.testing.assert_array_equal(np.bincount(test.targets), [31, 35, 88, 44, 29, 24, 40, 50, 29])
    assert (train.lengths.min(), train.lengths.max()) == (7, 26)
    assert (test.lengths.min(), test.lengths.max()) == (7, 29)
    expected = [1.860936, -0.207383, 0.261557, -0.214562, -0.171253, -0.118167]
    np.testing.assert_allclose(train.xs[0, 0, :6], expected, rtol=1e-6)
    assert train.lengths[0] == 20 and train.xs[0, 19].all() and not train.xs[0, 20:].any()


@needs_aeon
def test_the_other_two_have_sequences_of_one_length():
    train, valid, test, meaning, _ = aeon.basic_motions(valid=8)
    assert (train.xs.shape, valid.xs.shape, test.xs.shape) == (
        (32, 100, 6),
        (8, 100, 6),
        (40, 100, 6),
    )
    assert meaning.classes == ("Standing", "Running", "Walking", "Badminton")
    assert train.lengths is valid.lengths is test.lengths is None
    np.testing.assert_array_equal(np.bincount(valid.targets), [2] * 4)
    train, _, test, meaning, _ = aeon.italy_power_demand()
    assert train.xs.shape == (67, 24, 1) and test.xs.shape == (1029, 24, 1)
    assert meaning.classes == ("1", "2")
    np.testing.assert_allclose(train.xs[0, :2, 0], [-0.71051757, -1.1833204])


@pytest.mark.full  # importing aeon takes seconds
@pytest.mark.filterwarnings("ignore")
@needs_aeon
@pytest.mark.parametrize("name", SOURCES)
def test_aeon_reads_the_same(name):
    from aeon.datasets import load_classification

    data = SOURCES[name]()
    for part, split in (("train", data.train), ("test", data.test)):
        theirs, labels = load_classification(name, split=part, load_equal_length=False)
        assert [data.meaning.classes[n].lower() for n in split.targets] == [
            label.lower() for label in labels
        ]
        lengths = [split.xs.shape[1]] * len(theirs) if split.lengths is None else split.lengths
        for ours, length, one in zip(split.xs, lengths, theirs, strict=True):
            np.testing.assert_array_equal(ours[:length].T, one.astype("float32"))
            assert not ours[length:].any()


@pytest.mark.parametrize("source", SOURCES.values())
def test_without_aeon_the_error_says_what_to_install(source, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"which is not installed: pip install aeon$"):
        source()


def test_an_installed_package_without_the_files_is_named(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("aeon", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match=r"BasicMotions_TRAIN\.ts: cannot be read"):
        aeon.basic_motions()


def test_a_file_has_sequences_of_its_own_lengths(tmp_path):
    (tmp_path / "good.ts").write_text(GOOD)
    values, labels, classes = ts_file.read(tmp_path / "good.ts")
    assert classes == ("low", "high")
    np.testing.assert_array_equal(labels, [1, 0])
    np.testing.assert_array_equal(values[0], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(values[1], [[7, 8]])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@data", "", "has no line @data"),
        (GOOD, "", "has no line @data"),
        ("@classLabel true low high", "@classLabel false", "names no classes"),
        ("low high", "low low", "names no classes, or one twice"),
        ("@problemName Small", "@timeStamps true", "line 2: has time stamps"),
        ("6:high", "6:hihg", "line 5: the class 'hihg' is not in .* did you mean 'high'"),
        ("1,2,3", "1,?,3", "line 5: the value '\\?' is not a number"),
        ("1,2,3", "1,,3", "line 5: the value '' is not a number"),
        ("1,2,3", "1,NaN,3", "line 5: holds NaN"),
        ("1,2,3", "1,1e300,3", "line 5: holds NaN or an infinite value"),
        ("1,2,3", "1,2", r"line 5: its channels have \[2, 3\] values"),
        ("7:8:low", "7:low", "line 7: 1 channels; expected 2"),
        ("7:8:low", "low", r"line 7: its channels have \[\] values"),
        (GOOD[GOOD.index("1,2") :], "", "no sequence follows"),
    ],
)
def test_bad_files_are_refused_with_the_line(old, new, message, tmp_path):
    assert old in GOOD
    (tmp_path / "bad.ts").write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match=message) as caught:
        ts_file.read(tmp_path / "bad.ts")
    assert str(caught.value).startswith(str(tmp_path / "bad.ts"))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "bad.ts").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ValueError, match="not UTF-8"):
        ts_file.read(tmp_path / "bad.ts")
    with pytest.raises(ValueError, match="cannot be read"):
        ts_file.read(pathlib.Path(tmp_path))


def test_held_out_sequences_keep_their_targets_and_lengths():
    n = 23
    train = Split(
        np.arange(n, dtype="float32").reshape(n, 1, 1),
        (np.arange(n) % 3).astype("int32"),
        np.arange(n, dtype="int32"),
    )
    kept, apart = held_out(train, 6, seed=1)
    np.testing.assert_array_equal(np.bincount(apart.targets), [2, 2, 2])
    both = np.concatenate([kept.lengths, apart.lengths])
    np.testing.assert_array_equal(np.sort(both), np.arange(n))
    for part in (kept, apart):
        np.testing.assert_array_equal(part.xs[:, 0, 0], part.lengths)
        np.testing.assert_array_equal(part.targets, part.lengths % 3)
    again, other = held_out(train, 6, seed=1)[1], held_out(train, 6, seed=2)[1]
    assert (again.lengths == apart.lengths).all() and (other.lengths != apart.lengths).any()
    assert held_out(train, 0) == (train, None)


@pytest.mark.parametrize(("valid", "error"), [(-1, ValueError), (3, ValueError), (0.5, TypeError)])
def test_a_wrong_number_of_held_out_sequences_is_refused(valid, error):
    with pytest.raises(error, match="valid is"):
        held_out(Split(np.zeros((3, 1, 1), "float32"), np.zeros(3, "int32")), valid)
