"""The command predict, and forecasts beside the last value repeated."""

import csv
import itertools
import json

import jax
import numpy as np
import pytest

from jlstm import Config
from jlstm.train import naive, predicting, trained
from jlstm.train.command.evaluate import evaluate
from jlstm.train.command.predict import predict
from jlstm.train.data import sources
from jlstm.train.data.split import Meaning, Split
from jlstm.train.model import Batch
from jlstm.train.tasks import names
from jlstm.train.tasks.ctc import Ctc
from jlstm.train.tasks.forecast import Forecast

TABLES = {
    "classify": {"source": "sequences", "sequence": "id", "inputs": ["a", "b"], "label": "kind"},
    "regress": {"source": "sequences", "sequence": "id", "inputs": ["a", "b"], "targets": ["y"]},
    "forecast": {
        "source": "series",
        "series": "id",
        "inputs": ["a", "b"],
        "targets": ["b"],
        "history": 5,
        "horizon": 3,
        "valid": 0,
        "test": 3,
    },
}


def cells(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path, columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join(",".join(map(str, row)) for row in [columns, *rows]) + "\n")
    return path


def of_sequences(count=20, steps=15, shift=0.0):
    """Rows of several sequences, longer and shorter."""
    rng = np.random.default_rng(0)
    ids = np.concatenate([[n] * (steps + n % 3) for n in range(count)])
    return {
        "id": [f"s{n}" for n in ids],
        "a": 100 + shift + 10 * rng.standard_normal(len(ids)),
        "b": 5 + rng.standard_normal(len(ids)).cumsum(),
        "kind": [["low", "high"][n % 2] for n in ids],
        "y": ids * 7.0,
    }


def made(path, table, task, seed=0, **options):
    """A model with random parameters for a task on data, saved."""
    data = sources.load(table)
    config = Config.stack(2, [6])
    found = names.from_table({"name": task} | options, data)
    model = found.new(jax.random.key(seed), config)
    model = model._replace(
        head=model.head._replace(b=0.1 * np.arange(len(model.head.b), dtype="f"))
    )
    whole = trained.Trained(config, found, model, data.meaning, table, None)
    trained.save(path, whole)
    return whole, data


def setting(tmp_path, task, **options):
    file = write(tmp_path / "rows.csv", of_sequences())
    table = TABLES[task] | {"file": str(file)}
    if options.pop("per_step", False):
        table, task = table | {"per_step": True}, "label"
    whole, data = made(tmp_path / "model.safetensors", table, task, **options)
    return tmp_path / "model.safetensors", whole, data


def alone(whole, rows, column):
    """The model's predictions for each sequence of rows by itself, without padding."""
    found = {}
    for name in dict.fromkeys(rows[column]):
        chosen = [n for n, each in enumerate(rows[column]) if each == name]
        xs = np.stack([np.asarray(rows[c])[chosen] for c in whole.meaning.inputs], -1)
        xs = (xs - whole.meaning.input_mean) / whole.meaning.input_scale
        if "history" in whole.data:
            xs = xs[-whole.data["history"] :]
        batch = Batch(xs[None].astype("float32"), None)
        found[name] = np.asarray(whole.task.predict(whole.config, whole.model, batch)[1][0])
    return found


@pytest.mark.parametrize("readout", ["last", "attention"])
def test_classes_are_those_of_each_sequence_alone(tmp_path, readout, capsys):
    path, whole, _ = setting(tmp_path, "classify", readout=readout)
    rows = {k: v for k, v in of_sequences(70, shift=3.0).items() if k in ("id", "a", "b")}
    predict(path, write(tmp_path / "new.csv", rows), tmp_path / "out.csv")
    assert capsys.readouterr().out == f"{tmp_path}/out.csv: the classes of 70 sequences\n"
    found, wanted = cells(tmp_path / "out.csv"), alone(whole, rows, "id")
    assert [row["id"] for row in found] == list(wanted)
    for row, scores in zip(found, wanted.values(), strict=True):
        assert row["class"] == whole.meaning.classes[scores.argmax()]
        probability = np.exp(scores) / np.exp(scores).sum()
        ours = [float(row[f"probability of {name}"]) for name in whole.meaning.classes]
        np.testing.assert_allclose(ours, probability, rtol=1e-4)


def test_each_step_gets_a_label(tmp_path):
    path, whole, _ = setting(tmp_path, "classify", per_step=True)
    rows = of_sequences(4)
    predict(path, write(tmp_path / "new.csv", rows), tmp_path / "out.csv")
    found = cells(tmp_path / "out.csv")
    assert [row["id"] for row in found] == rows["id"]
    scores = np.concatenate(list(alone(whole, rows, "id").values()))
    assert [row["class"] for row in found] == [whole.meaning.classes[n] for n in scores.argmax(-1)]


def test_values_are_in_raw_units(tmp_path):
    path, whole, _ = setting(tmp_path, "regress")
    rows = of_sequences(4)
    predict(path, write(tmp_path / "new.csv", rows), tmp_path / "out.csv")
    (mean,), (scale,) = whole.meaning.target_mean, whole.meaning.target_scale
    wanted = [made[0] * scale + mean for made in alone(whole, rows, "id").values()]
    ours = [float(row["y"]) for row in cells(tmp_path / "out.csv")]
    np.testing.assert_allclose(ours, wanted, rtol=1e-4)


def test_quantiles_that_cross_are_put_in_order_which_lowers_the_loss():
    config, task = Config.stack(2, [6]), Forecast(4, 2, (0.1, 0.5, 0.9))
    model = task.new(jax.random.key(0), config)
    found = trained.Trained(config, task, model, Meaning(), {}, None)
    xs, targets = np.random.default_rng(0).normal(size=(2, 9, 4, 2)).astype("float32")
    _, crossed = task.predict(config, model, Batch(xs, targets))
    assert (np.diff(crossed) < 0).any()
    made = predicting.predicted(found, xs)
    np.testing.assert_allclose(made, np.sort(crossed), rtol=1e-5, atol=1e-6)
    losses = [task.measure(each, Batch(xs, targets))["loss"][0] for each in (made, crossed)]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("quantiles", [(), (0.1, 0.5, 0.9)])
def test_series_go_on_after_their_last_rows(tmp_path, quantiles):
    path, whole, _ = setting(tmp_path, "forecast", quantiles=list(quantiles))
    rows = of_sequences(3, steps=9)
    predict(path, write(tmp_path / "new.csv", rows), tmp_path / "out.csv")
    found, wanted = cells(tmp_path / "out.csv"), alone(whole, rows, "id")
    assert [(row["id"], row["step"]) for row in found[:4]] == [
        ("s0", "1"), ("s0", "2"), ("s0", "3"), ("s1", "1")
    ]  # fmt: skip
    (mean,), (scale,) = whole.meaning.target_mean, whole.meaning.target_scale
    columns = [f"b {q:g}" for q in quantiles] or ["b"]
    ours = np.array([[float(row[c]) for c in columns] for row in found])
    raw = np.sort(np.concatenate([made[:, 0] for made in wanted.values()])) * scale + mean
    np.testing.assert_allclose(ours, raw, rtol=1e-4)


def test_classes_in_their_order_are_those_of_the_best_path(tmp_path):
    config, task = Config.stack(2, [6]), Ctc(classes=3)
    model = jax.tree.map(lambda a: 4 * a, task.new(jax.random.key(1), config))
    meaning = Meaning(classes=("a", "b", "c"))
    whole = trained.Trained(config, task, model, meaning, {"source": "arrays"}, None)
    trained.save(tmp_path / "model.safetensors", whole)
    xs = 3 * np.random.default_rng(0).standard_normal((5, 12, 2)).astype("float32")
    lengths = np.array([12, 3, 7, 12, 1])
    np.savez(tmp_path / "new.npz", xs=xs, lengths=lengths)
    predict(tmp_path / "model.safetensors", tmp_path / "new.npz", tmp_path / "out.csv")
    wanted = []
    for x, n in zip(xs, lengths, strict=True):
        best = np.asarray(task.predict(config, model, Batch(x[None, :n], None))[1][0]).argmax(-1)
        path = [each for each, _ in itertools.groupby(best)]
        wanted.append(" ".join("abc"[each - 1] for each in path if each))
    assert [row["classes"] for row in cells(tmp_path / "out.csv")] == wanted
    assert max(map(len, wanted)) > 4


def test_a_bad_file_or_place_is_refused_and_nothing_is_written(tmp_path):
    path, _, _ = setting(tmp_path, "classify")
    rows = of_sequences(2)
    new = write(tmp_path / "new.csv", {k: v for k, v in rows.items() if k != "b"})
    for file, out, words in (
        (new, "out.csv", r"new\.csv: row 1, the header, has no column 'b'"),
        (tmp_path / "rows.csv", "out.xlsx", "expected .csv or .parquet"),
        (tmp_path / "rows.csv", "rows.csv", "would be replaced by the predictions from it"),
        (tmp_path / "nothing.csv", "out.csv", "nothing.csv"),
    ):
        before = sorted(tmp_path.iterdir())
        with pytest.raises((ValueError, OSError), match=words):
            predict(path, file, tmp_path / out)
        assert sorted(tmp_path.iterdir()) == before


def test_sequences_that_do_not_fit_the_model_are_refused(tmp_path):
    path, _, _ = setting(tmp_path, "classify")
    np.savez(tmp_path / "new.npz", xs=np.zeros((2, 5, 3), "float32"))
    with pytest.raises(ValueError, match=r"new\.npz"):
        predict(path, tmp_path / "new.npz", tmp_path / "out.csv")


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("inputs", [["b", "a"], ["a"]])
def test_forecasts_are_measured_in_raw_units_beside_the_last_value(
    tmp_path, inputs, relative, capsys
):
    file = write(tmp_path / "rows.csv", of_sequences(3, steps=40))
    table = TABLES["forecast"] | {"file": str(file), "inputs": inputs}
    if relative and "b" not in inputs:
        return
    data, config = sources.load(table), Config.stack(len(inputs), [6])
    task = names.from_table({"name": "forecast", "relative": relative}, data)
    model = task.new(jax.random.key(0), config)
    whole = trained.Trained(config, task, model, data.meaning, table, None)
    trained.save(tmp_path / "model.safetensors", whole)
    season = 2 if "b" in inputs else None
    evaluate(tmp_path / "model.safetensors", season=season, as_json=True)
    said = json.loads(capsys.readouterr().out)
    (mean,), (scale,) = data.meaning.target_mean, data.meaning.target_scale
    raw = np.asarray(data.test.targets[..., 0], "float64") * scale + mean
    batch = Batch(np.asarray(data.test.xs), None)
    ours = np.asarray(task.predict(config, model, batch)[1])[..., 0, 0] * scale + mean
    errors = {"mae": np.abs(ours - raw).mean(), "rmse": np.sqrt(((ours - raw) ** 2).mean())}
    assert said["raw"]["b"]["model"] == pytest.approx(errors, rel=1e-4)
    assert said["mae"] * scale == pytest.approx(errors["mae"], rel=1e-4)
    assert set(said["raw"]["b"]) - {"model"} == set(
        ["persistence", "seasonal"] if "b" in inputs else []
    )
    if "b" in inputs:
        column = inputs.index("b")
        past = np.asarray(data.test.xs)[:, :, column] * scale + mean
        for whose, season in {"persistence": 1, "seasonal": 2}.items():
            steps = [-season + step % season for step in range(raw.shape[1])]
            error = past[:, steps] - raw
            expected = {"mae": np.abs(error).mean(), "rmse": np.sqrt((error**2).mean())}
            assert said["raw"]["b"][whose] == pytest.approx(expected, rel=1e-4)
    evaluate(tmp_path / "model.safetensors", season=season)
    said = capsys.readouterr().out
    assert "b, in its own units, the model: mae" in said
    assert ("b, in its own units, the last 2 values repeated: mae" in said) == ("b" in inputs)
    if "b" not in inputs:
        with pytest.raises(ValueError, match="the inputs do not hold the past"):
            evaluate(tmp_path / "model.safetensors", season=2)


def test_a_season_repeats_within_the_length_of_each_sequence():
    past = np.array([[1, 2, 3, 0, 0], [1, 2, 3, 4, 5]], "float32")[..., None]
    split = Split(past, past, np.array([3, 5]))
    assert naive.repeated(split, 0, 5, season=2).tolist() == [[2, 3, 2, 3, 2], [4, 5, 4, 5, 4]]
    assert naive.repeated(split, 0, 2).tolist() == [[3, 3], [5, 5]]
    with pytest.raises(ValueError, match="season is 4, but a sequence has 3 steps"):
        naive.repeated(split, 0, 2, season=4)


def test_a_season_that_means_nothing_is_refused(tmp_path):
    path, _, _ = setting(tmp_path, "forecast")
    with pytest.raises(ValueError, match="--season is 0; expected"):
        evaluate(path, season=0)
    with pytest.raises(ValueError, match="season is 1000, but a sequence has"):
        evaluate(path, season=1000)
    path, _, _ = setting(tmp_path, "classify")
    with pytest.raises(ValueError, match=r"--season is for forecasts, but .* 'classify'"):
        evaluate(path, season=2)


def test_data_that_changed_since_the_training_are_refused(tmp_path):
    path, _, _ = setting(tmp_path, "classify")
    write(tmp_path / "rows.csv", of_sequences(shift=1.0))
    with pytest.raises(ValueError, match=r"model\.safetensors: its data changed"):
        evaluate(path)


def test_a_forecast_without_names_knows_its_past_if_the_task_says_so():
    data = sources.load({"source": "adding", "steps": 4, "train": 2})
    task = names.from_table({"name": "forecast", "horizon": 2, "relative": True})
    assert predicting._column(data.meaning._replace(inputs=(), targets=()), task, 0) == 0
