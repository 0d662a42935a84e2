"""New files for a trained model, and the files of its predictions."""

import csv

import numpy as np
import pytest

from jlstm.train.data.split import Meaning
from jlstm.train.data.tables import new, predictions
from jlstm.train.data.tables.sequences import sequences
from jlstm.train.data.tables.series import series
from tests.train.data.tables.files import write


def cells(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def of_series():
    columns = {"who": [*"ab"] * 40, "t": np.arange(80), "x": np.arange(80.0) ** 2}
    return columns | {"temp": np.sin(np.arange(80.0))}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_forecast_goes_on_from_the_last_rows(tmp_path, ending):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    columns = of_series()
    path = write(tmp_path / f"a{ending}", columns)
    options = dict(targets="x", inputs=["temp", "x"], history=6, horizon=3)
    options |= dict(series="who", time="t")
    data = series(file=path, **options)
    # The last window of the test part, as if the rows that it forecasts were not there yet.
    earlier = {name: column[:-6] for name, column in columns.items()}
    path = write(tmp_path / f"b{ending}", earlier)
    found = new.read(path, options | {"source": "series"}, data.meaning)
    assert found.names == ("a", "b") and found.column == "who" and found.lengths is None
    last = [len(data.test.xs) // 2 - 1, -1]
    np.testing.assert_array_equal(found.xs, data.test.xs[last])

    out = tmp_path / "out.csv"
    predictions.write(
        out, predictions.forecasts(found, data.meaning, data.test.targets[last, ..., None])
    )
    header, *rows = cells(out)
    assert header == ["who", "step", "x"]
    assert [row[:2] for row in rows] == [[who, step] for who in "ab" for step in "123"]
    truth = [columns["x"][n] for n in (74, 76, 78, 75, 77, 79)]
    np.testing.assert_allclose([float(row[2]) for row in rows], truth, rtol=1e-5)


def test_a_series_that_is_too_short_or_lacks_a_column(tmp_path):
    columns = of_series()
    options = dict(targets="x", inputs=["temp", "x"], history=6)
    meaning = series(file=write(tmp_path / "a.csv", columns), **options).meaning
    table = options | {"source": "series"}
    path = write(tmp_path / "b.csv", {name: column[:5] for name, column in columns.items()})
    with pytest.raises(ValueError, match=r"b.csv: the file has 5 rows, but the model forecasts fr"):
        new.read(path, table, meaning)
    columns["Temp"] = columns.pop("temp")
    path = write(tmp_path / "b.csv", columns)
    with pytest.raises(ValueError, match="has no column 'temp'; did you mean 'Temp'"):
        new.read(path, table, meaning)
    with pytest.raises(
        ValueError, match="a model that was trained on 'adding' reads new sequences"
    ):
        new.read(path, {"source": "adding"}, meaning)
    columns["temp"] = columns.pop("Temp")
    path = write(tmp_path / "b.csv", columns)
    with pytest.raises(ValueError, match="does not hold the normalisation of its inputs"):
        new.read(path, table, meaning._replace(input_mean=(), input_scale=()))


def of_sequences():
    columns = {"who": [*"aabbbccd"], "x": np.arange(8.0), "z": np.arange(8.0)[::-1] * 2}
    return columns | {"y": [*"nnyyyyyn"], "v": [1, 1, 5, 5, 5, 2, 2, 9]}


@pytest.mark.parametrize("label", [True, False])
def test_new_sequences_are_normalised_as_those_trained_on(tmp_path, label):
    path = write(tmp_path / "a.csv", of_sequences())
    options = dict(sequence="who", inputs=["z", "x"], valid=0, test=0)
    options |= {"label": "y"} if label else {"targets": "v"}
    data = sequences(file=path, **options)
    columns = {name: column for name, column in of_sequences().items() if name in ("who", "x", "z")}
    path = write(tmp_path / "b.csv", columns)
    found = new.read(path, options | {"source": "sequences"}, data.meaning)
    np.testing.assert_array_equal(found.xs, data.train.xs)
    np.testing.assert_array_equal(found.lengths, data.train.lengths)
    assert found.names == tuple("abcd")
    if not label:
        out = predictions.values(found, data.meaning, data.train.targets)
        assert [name for name, _ in out] == ["who", "v"]
        np.testing.assert_allclose(out[1][1], [1, 5, 2, 9], rtol=1e-6)


def test_new_arrays(tmp_path):
    xs = np.random.default_rng(0).normal(size=(3, 4, 2))
    meaning = Meaning(input_mean=(1.0, 2.0), input_scale=(2.0, 4.0))
    np.savez(tmp_path / "a.npz", xs=xs, lengths=[4, 1, 2])
    found = new.read(tmp_path / "a.npz", {"source": "adding"}, meaning)
    np.testing.assert_allclose(found.xs[0], (xs[0] - [1, 2]) / [2, 4], rtol=1e-5)
    assert not found.xs[1, 1:].any() and found.lengths.tolist() == [4, 1, 2]
    assert found.names == ("0", "1", "2")
    for bad, message in (
        (xs[..., :1], "xs has 1 features, but the model was trained on 2"),
        (np.zeros((3, 4), int), "the model expects numbers"),
    ):
        np.savez(tmp_path / "a.npz", xs=bad)
        with pytest.raises(ValueError, match=message):
            new.read(tmp_path / "a.npz", {}, meaning)
    np.savez(tmp_path / "a.npz", xs=[[0, 1, 2]])
    with pytest.raises(ValueError, match=r"xs\[0, 2\] is 2; .*: the vocabulary has 2 tokens"):
        new.read(tmp_path / "a.npz", {}, Meaning(vocabulary=("a", "b")))


def test_classes_and_labels(tmp_path):
    meaning = Meaning(classes=("no", "yes"))
    found = new.New(np.zeros((2, 3, 1)), np.array([1, 3]), ("a", "b"), "class")
    scores = np.array([[0.25, 0.75], [1, 0]])
    predictions.write(tmp_path / "out.csv", predictions.classes(found, meaning, scores))
    assert cells(tmp_path / "out.csv") == [
        ["class", "class (2)", "probability of no", "probability of yes"],
        ["a", "yes", "0.25", "0.75"],
        ["b", "no", "1", "0"],
    ]
    steps = np.stack([scores[::-1], scores, scores], 1)
    predictions.write(tmp_path / "out.csv", predictions.labels(found, meaning, steps))
    rows = [row[:3] for row in cells(tmp_path / "out.csv")[1:]]
    assert rows == [["a", "1", "no"], ["b", "1", "yes"], ["b", "2", "no"], ["b", "3", "no"]]


def test_quantiles_in_raw_units(tmp_path):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    meaning = Meaning(targets=("p", "q"), target_mean=(10.0, 20.0), target_scale=(1.0, 2.0))
    found = new.New(np.zeros((3, 4, 2)), None, ("a", "b", "c"), "who")
    predicted = np.random.default_rng(0).normal(size=(3, 5, 2, 2))
    columns = predictions.forecasts(found, meaning, predicted, (0.1, 0.9))
    predictions.write(tmp_path / "out.parquet", columns)
    read = parquet.read_table(tmp_path / "out.parquet").to_pydict()
    assert list(read) == ["who", "step", "p 0.1", "p 0.9", "q 0.1", "q 0.9"]
    assert read["who"] == [who for who in "abc" for _ in range(5)]
    assert read["step"] == [1, 2, 3, 4, 5] * 3
    np.testing.assert_allclose(read["p 0.9"], 10 + predicted[:, :, 0, 1].ravel())
    np.testing.assert_allclose(read["q 0.1"], 20 + 2 * predicted[:, :, 1, 0].ravel())


def test_predictions_go_to_csv_or_parquet(tmp_path):
    with pytest.raises(ValueError, match=r"ends in '.json'; expected .csv or .parquet"):
        predictions.write(tmp_path / "out.json", [("a", [1])])
