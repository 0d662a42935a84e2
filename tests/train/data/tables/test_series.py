"""Windows of series: right values, no leak between parts, no needless copies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlstm.train.data.tables.series import series
from tests.train.data.tables.files import write


@st.composite
def cases(draw):
    history, horizon = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    test = draw(st.sampled_from([0, horizon, horizon + 2, 0.3]))
    valid = draw(st.sampled_from([0, horizon, 0.3]))
    rows = [draw(st.integers(30, 40)) for _ in range(draw(st.integers(1, 3)))]
    options = dict(history=history, horizon=horizon, test=test, valid=valid)
    options |= dict(stride=draw(st.integers(1, 3)))
    inputs = draw(st.sampled_from([["b", "a"], ["b"], ["a"], ["a", "b"]]))
    return rows, options, inputs, draw(st.integers(0, 99))


def table(rows, seed):
    """Rows of several series, mixed at random, each in its order."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(len(rows)), rows))
    steps = np.zeros(len(owner), int)
    for n in range(len(rows)):
        steps[owner == n] = np.arange(rows[n])
    a, b = rng.normal(5, 3, (2, len(owner)))
    return {"who": [f"s{n}" for n in owner], "t": steps, "a": a, "b": b}


def slowly(columns, options, inputs):
    """The same windows in raw values, one by one."""
    parts = [], [], []
    owners = list(dict.fromkeys(columns["who"]))
    for owner in owners:
        mine = np.array(columns["who"]) == owner
        a, b = columns["a"][mine], columns["b"][mine]
        n, history, horizon = len(a), options["history"], options["horizon"]
        count = {
            k: round(v * n) if isinstance(v := options[k], float) else v for k in ("valid", "test")
        }
        ends = [n - count["test"] - count["valid"], n - count["test"], n]
        for part, end in enumerate(ends):
            begin = max(ends[part - 1] - history, 0) if part else 0
            if part and end == ends[part - 1]:
                continue
            for at in range(begin, end - history - horizon + 1, options["stride"]):
                middle = at + history
                xs = np.stack([{"a": a, "b": b}[name][at:middle] for name in inputs], -1)
                parts[part].append((xs, a[middle : middle + horizon, None]))
    return parts


@given(cases())
def test_windows_are_those_cut_one_by_one(tmp_path_factory, case):
    rows, options, inputs, seed = case
    columns = table(rows, seed)
    path = write(tmp_path_factory.mktemp("series") / "a.csv", columns)
    data = series(file=path, targets="a", inputs=inputs, series="who", time="t", **options)
    meaning = data.meaning
    for split, expected in zip(data[:3], slowly(columns, options, inputs), strict=True):
        if not expected:
            assert split is None
            continue
        assert split.xs.dtype == split.targets.dtype == np.float32
        xs = split.xs * np.array(meaning.input_scale) + meaning.input_mean
        targets = split.targets * np.array(meaning.target_scale) + meaning.target_mean
        np.testing.assert_allclose(xs, [each[0] for each in expected], atol=1e-5)
        np.testing.assert_allclose(targets, [each[1] for each in expected], atol=1e-5)


@given(cases())
def test_rows_for_testing_change_nothing_of_training(tmp_path_factory, case):
    rows, options, inputs, seed = case
    options |= dict(test=0.3)
    columns = table(rows, seed)
    folder = tmp_path_factory.mktemp("series")
    named = dict(targets=["a", "b"], inputs=inputs, series="who", **options)
    before = series(file=write(folder / "a.csv", columns), **named)
    for n in range(len(rows)):
        mine = np.flatnonzero(np.array(columns["who"]) == f"s{n}")
        columns["a"][mine[-round(0.3 * rows[n]) :]] += 100
    after = series(file=write(folder / "b.csv", columns), **named)
    assert before.meaning == after.meaning
    for old, new in zip(before[:2], after[:2], strict=True):
        if old is not None:
            np.testing.assert_array_equal(old.xs, new.xs)
            np.testing.assert_array_equal(old.targets, new.targets)
    assert np.abs(after.test.targets - before.test.targets).max() > 10


def test_training_rows_are_normalised(tmp_path):
    columns = {"a": np.arange(100.0) * 3 + 1e6, "b": np.full(100, 0.1)}
    path = write(tmp_path / "a.csv", columns)
    data = series(file=path, targets=["a", "b"], history=1, valid=0, test=0)
    assert data.valid is None and data.test is None
    rows = np.concatenate([data.train.xs[:, 0], data.train.targets[-1]])
    np.testing.assert_allclose(rows[:, 0].mean(), 0, atol=1e-4)
    np.testing.assert_allclose(rows[:, 0].std(), 1, rtol=1e-4)
    assert not rows[:, 1].any() and data.meaning.target_scale[1] == 1  # a constant column


def test_windows_of_one_series_are_views(tmp_path):
    path = write(tmp_path / "a.csv", {"a": range(2000), "b": range(2000)})
    data = series(file=path, targets="a", inputs=["a", "b"], history=500)
    assert data.train.xs.nbytes > 100 * 2000 * 2 * 4
    low, high = np.lib.array_utils.byte_bounds(data.train.xs)
    assert high - low <= 2000 * 2 * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(targets="lod"), "row 1, the header, has no column 'lod'; did you mean 'load'?"),
        (dict(inputs="load,day"), "'load,day'; write several columns as a list: ['load', 'day']"),
        (dict(targets=["load", "load"]), "targets has the column 'load' twice"),
        (dict(targets=[]), "targets is []; expected the name of a column"),
        (dict(history=0), "history is 0; expected a whole number of at least 1"),
        (dict(valid=1.5), "valid is 1.5; expected a finite number of at least 0 and below 1"),
        (dict(test=2), "test = 2 leaves 2 of the 50 rows of series 'x', fewer than the horizon"),
        (dict(test=0.01), "test = 0.01 leaves 0 of the 50 rows of series 'x'"),
        (dict(history=40), "series 'x' has 50 rows, and 35 of them to train on, but a window has"),
        (dict(series=None), "row 52, column 'day', is earlier than row 51; sort the file by 'day'"),
    ],
)
def test_options_that_do_not_fit_the_file(tmp_path, options, message):
    columns = {"day": [*range(50)] * 2, "who": ["x"] * 50 + ["y"] * 50, "load": range(100)}
    path = write(tmp_path / "a.csv", columns)
    usual = dict(file=path, targets="load", history=4, horizon=3, time="day", series="who")
    with pytest.raises((TypeError, ValueError)) as error:
        series(**usual | options)
    assert message in str(error.value)


def test_a_test_value_that_normalisation_cannot_hold(tmp_path):
    path = write(tmp_path / "a.csv", {"a": [*range(50), 1e300]})
    with pytest.raises(ValueError, match=r"row 52, column 'a', is 1e.300, too far from"):
        series(file=path, targets="a", history=4)
