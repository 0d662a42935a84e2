"""Sequences in .npz files: right values, and errors that name the array and the element."""

import numpy as np
import pytest

from jlstm.train.data.tables.arrays import arrays


def sample(n=12, steps=5, features=2):
    rng = np.random.default_rng(0)
    return {
        "xs": rng.normal(5, 3, (n, steps, features)),
        "targets": np.arange(n) % 3,
        "lengths": 1 + np.arange(n) % steps,
    }


def write(tmp_path, compressed=False, **held):
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(path, **held)
    return str(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_all_sequences_are_there_without_what_is_padded(tmp_path, compressed):
    held = sample()
    beyond = np.arange(5) >= held["lengths"][:, None]
    held["xs"][beyond] = np.nan
    data = arrays(file=write(tmp_path, compressed, **held), valid=2, test=3)
    assert [len(split.xs) for split in data[:3]] == [7, 2, 3]
    assert data.meaning.classes == ("0", "1", "2")
    mean, scale = np.array(data.meaning.input_mean), np.array(data.meaning.input_scale)
    found = []
    for split in data[:3]:
        assert split.xs.dtype == np.float32
        assert split.targets.dtype == split.lengths.dtype == np.int32
        for xs, target, length in zip(split.xs, split.targets, split.lengths, strict=True):
            raw = xs[:length] * scale + mean
            n = int(np.abs(held["xs"][:, 0] - raw[0]).sum(-1).argmin())
            np.testing.assert_allclose(raw, held["xs"][n, :length], atol=1e-5)
            assert not xs[length:].any()
            assert (target, length) == (held["targets"][n], held["lengths"][n])
            found.append(n)
    assert sorted(found) == list(range(12))
    inside = np.arange(5) < data.train.lengths[:, None]
    np.testing.assert_allclose(data.train.xs[inside].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(data.train.xs[inside].std(0), 1, rtol=1e-5)


def test_arrays_for_testing_and_float_targets(tmp_path):
    held = sample() | {"targets": np.random.default_rng(1).normal(7, 2, (12, 4, 3))}
    held |= {f"{name}_test": array[:4] for name, array in held.items()}
    data = arrays(file=write(tmp_path, **held), valid=0)
    assert len(data.train.xs) == 12 and data.valid is None
    np.testing.assert_array_equal(data.test.xs, data.train.xs[:4, :5])
    np.testing.assert_allclose(data.train.targets.mean((0, 1)), 0, atol=1e-6)
    raw = data.test.targets * np.array(data.meaning.target_scale) + data.meaning.target_mean
    np.testing.assert_allclose(raw, held["targets"][:4], rtol=1e-5)


def test_tokens_and_names(tmp_path):
    held = dict(xs=np.arange(12).reshape(4, 3) % 5, targets=[0, 1, 1, 0])
    held |= dict(classes=["no", "yes"], vocabulary=[*"abcde"])
    data = arrays(file=write(tmp_path, **held), valid=0, test=0)
    assert data.meaning.classes == ("no", "yes") and data.meaning.vocabulary == tuple("abcde")
    assert data.train.xs.tolist() == held["xs"].tolist() and data.train.xs.dtype == np.int32
    assert data.train.lengths is None


def with_nan(array, *at):
    array = array.copy()
    array[at] = np.nan
    return array


good = sample()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xs": with_nan(good["xs"], 3, 1, 0)}, "xs[3, 1, 0] is nan; replace it by a finite"),
        ({"xs": good["xs"][:, :, 0]}, "xs has the dtype float64 and the shape [12, 5]; expected"),
        ({"xs": good["xs"][:0]}, "xs has the shape [0, 5, 2]; expected at least one of each"),
        ({"xs": good["xs"].astype("U5")}, "xs has the dtype <U5"),
        (
            {"xs": np.where(good["xs"] == good["xs"][9, 0, 1], 1e300, good["xs"])},
            "xs[9, 0, 1] is too",
        ),
        ({"targets": good["targets"][:7]}, "targets has 7 sequences, but xs has 12"),
        ({"targets": good["targets"] - 1}, "targets[0] is -1; expected a whole number from 0 to"),
        ({"targets": with_nan(good["targets"] / 2, 7)}, "targets[7] is nan"),
        (
            {"classes": ["a", "b"]},
            "targets[2] is 2; expected a whole number from 0 to 1: there are",
        ),
        ({"classes": ["a", "b", "a"]}, "classes has a text twice"),
        ({"lengths": good["lengths"] - 1}, "lengths[0] is 0; expected a whole number from 1 to 5"),
        ({"lengths": good["lengths"] + 1}, "lengths[4] is 6; expected a whole number from 1 to 5"),
        ({"lengths": good["lengths"] / 2}, "lengths has the dtype float64"),
        ({"length": good["lengths"]}, "has an array 'length', which is not known; did you mean 'l"),
        ({"xs_test": good["xs"]}, "there is an array xs_test, but no targets_test; add it"),
        ({"targets_test": good["targets"]}, "there is an array 'targets_test', but no xs_test"),
        (
            {"xs_test": good["xs"][:, :, :1], "targets_test": good["targets"]},
            "xs_test has the dtype float64 and the shape [12, 5, 1], but xs has float64 and [12, 5",
        ),
        (
            {"xs_test": good["xs"], "targets_test": good["targets"] + 1},
            "targets_test[2] is 3; expected a whole number from 0 to 2: there are 3 classes",
        ),
    ],
)
def test_a_bad_array(tmp_path, change, message):
    path = write(tmp_path, **good | change)
    with pytest.raises(ValueError) as error:
        arrays(file=path, **{} if "xs_test" in change else {"test": 0})
    assert message in str(error.value) and str(error.value).startswith(path)


def test_a_missing_array(tmp_path):
    with pytest.raises(ValueError, match="has no array 'targets'; did you mean 'target'"):
        arrays(file=write(tmp_path, xs=good["xs"], target=good["targets"]))


def test_objects_are_not_unpickled(tmp_path):
    path = write(tmp_path, xs=np.array([object()], dtype=object), targets=[0])
    with pytest.raises(ValueError, match="holds objects, which are never unpickled"):
        arrays(file=path)


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"xs")
    with pytest.raises(
        ValueError, match=r"a\.npz is not an \.npz file of arrays: it is a text file"
    ):
        arrays(file=str(tmp_path / "a.npz"))
