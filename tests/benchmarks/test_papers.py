"""The configs of published results, and what their papers count."""

import importlib.util
import json
import pathlib
import struct
import sys
import tomllib
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jlstm.train import settings, trained
from jlstm.train.data import sources, verses
from jlstm.train.data.synthetic import counting, reber
from jlstm.train.model import Batch

ROOT = pathlib.Path(__file__).parent.parent.parent
CONFIGS = sorted((ROOT / "configs" / "papers").glob("*.toml"))
# Little data of each source.
TINY = {
    "adding": {"steps": 5, "train": 4, "test": 2},
    "adding_1997": {"steps": 20, "train": 4, "test": 2},
    "continual_reber": {"steps": 9, "test_steps": 9, "train": 4, "test": 2},
    "copy_memory": {"gap": 3, "train": 4, "test": 2},
    "counting": {"longest": 3, "test_longest": 4, "train": 4},
    "embedded_reber": {"train": 4, "test": 2},
    "temporal_order": {"train": 4, "test": 2},
}


@pytest.fixture
def criteria():
    """The module of the criteria."""
    return script("criteria")


def script(name):
    """The module of a script that stands beside its benchmarks."""
    path = ROOT / "benchmarks" / "papers" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def images(folder):
    for part in ("train", "t10k"):
        for name, values in (("images-idx3", np.zeros((9, 2, 3))), ("labels-idx1", np.arange(9))):
            header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
            path = folder / f"{part}-{name}-ubyte"
            path.write_bytes(header + values.astype("uint8").tobytes())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_describes_a_run_on_its_data(path, tmp_path, monkeypatch):
    tables = settings.read(path)
    source = tables["data"]["source"]
    tables["data"] |= TINY.get(source, {})
    if source == "fashion_mnist":
        images(tmp_path)
        tables["data"]["folder"] = str(tmp_path)
    elif source == "bible":
        (tmp_path / "bible.data").write_text("In the beginning" * 20)
        tables["data"]["path"] = str(tmp_path / "bible.data")
        monkeypatch.setattr(verses, "read", lambda path, content: content)
    elif source == "mnist1d":
        parts = {"x": np.zeros((3, 40)), "y": np.arange(3), "x_test": np.zeros((2, 40))}
        made = SimpleNamespace(
            get_dataset_args=SimpleNamespace,
            make_dataset=lambda options: parts | {"y_test": np.arange(2)},
        )
        monkeypatch.setitem(sys.modules, "mnist1d", SimpleNamespace(data=made))
        monkeypatch.setitem(sys.modules, "mnist1d.data", made)
    elif source == "japanese_vowels":
        pytest.importorskip("aeon")
    data = sources.load(tables["data"])
    run = settings.resolved(tables, data)
    jax.eval_shape(lambda key: run.task.new(key, run.network), jax.random.key(0))
    assert run.train.out == f"runs/papers/{path.stem}"


def test_every_config_has_a_row_in_the_table():
    table = (ROOT / "benchmarks" / "papers.md").read_text()
    assert CONFIGS and all(f"(../configs/papers/{path.name})" in table for path in CONFIGS)


def test_a_forget_gate_of_bias_100_stays_open():
    tables = tomllib.loads((ROOT / "configs" / "papers" / "continual_reber_1997.toml").read_text())
    tables["data"] |= TINY["continual_reber"]
    data = sources.load(tables["data"])
    run = settings.resolved(tables, data)
    model = run.task.new(jax.random.key(0), run.network)
    batch = Batch(data.train.xs, data.train.targets)

    def loss(model):
        _, scores = run.task.predict(run.network, model, batch)
        return run.task.measure(scores, batch)["loss"][0]

    for slopes in jax.tree.leaves(jax.jit(jax.grad(loss))(model).network):
        gates = np.split(np.asarray(slopes), 4, axis=-1)
        assert not gates[1].any() and all(gates[n].any() for n in (0, 2, 3))


def test_strings_with_a_wrong_step_are_counted(criteria, monkeypatch):
    test = reber.embedded_reber(train=1, test=5).test
    scores = reber.allowed(test).astype("float32")
    scores[3, 2] = 0  # equal scores tell nothing
    monkeypatch.setattr(criteria, "predictions", lambda model, split, size=0: scores)
    assert criteria.wrong_strings(None, test) == {"wrong": 1, "of": 5}
    assert criteria.right_at_first(None, test)["right_at_first"][3] == 2


def test_the_largest_count_is_that_before_the_first_wrong_string(criteria, monkeypatch):
    test = counting.counting(longest=2, test_longest=6, targets="determined").test
    scores = counting.allowed(test).astype("float32")
    scores[4, 8] = 0  # the string of n = 5, at its third b
    monkeypatch.setattr(criteria, "predictions", lambda model, split, size=0: scores)
    assert criteria.largest_count(None, test) == {"largest": 4, "of": 6}


def test_sums_and_classes_are_wrong_from_the_papers_limits_on(criteria, monkeypatch):
    sums = sources.load({"source": "adding_1997", "train": 1, "test": 3}).test
    wrong = np.array([[0.039], [-0.041], [0.0]])
    monkeypatch.setattr(criteria, "predictions", lambda model, split, size=0: split.targets + wrong)
    assert criteria.far_sums(None, sums) == {"wrong": 1, "of": 3}
    classes = sources.load({"source": "temporal_order", "train": 1, "test": 2}).test
    given = np.where(np.arange(4) == classes.targets[:, None], [[0.71], [0.69]], [[0.1], [0.11]])
    given[:, :] = given / given.sum(1, keepdims=True)
    monkeypatch.setattr(criteria, "predictions", lambda model, split, size=0: np.log(given))
    assert criteria.unsure_classes(None, classes) == {"wrong": 1, "of": 2}


def test_a_model_file_is_judged_on_the_test_part_of_its_data(criteria, tmp_path):
    data = {"source": "embedded_reber"} | TINY["embedded_reber"]
    network = {"layers": [{"hidden_size": 2}]}
    tables = {"data": data, "task": {"name": "label"}, "network": network, "train": {"out": "a"}}
    run = settings.resolved(tables, loaded := sources.load(data))
    model = run.task.new(jax.random.key(0), run.network)
    made = trained.Trained(run.network, run.task, model, loaded.meaning, data, None)
    trained.save(tmp_path / "model.safetensors", made)
    assert criteria.of(tmp_path / "model.safetensors") == {"wrong": 2, "of": 2}


@pytest.mark.full  # imports torch
def test_torch_trains_as_a_config_says_and_keeps_the_curve_of_its_loss():
    pytest.importorskip("torch")
    with_torch = script("with_torch")
    tables = settings.read(ROOT / "configs" / "papers" / "japanese_vowels.toml")
    tables["data"] = {"source": "temporal_order", "train": 8, "test": 2}
    tables["train"] |= {"steps": 4, "batch_size": 4}
    data = sources.load(tables["data"])
    run = settings.resolved(tables, data)
    with_torch.require_comparable(run)
    _, losses = with_torch.train(run, data, seed=0, report=1)
    _, curve = with_torch.train(run, data, seed=0, report=2)
    assert [step for step, *_ in curve] == [2, 4] and curve[0][2] <= curve[1][2]
    means = np.reshape([loss for _, loss, _ in losses], (2, 2)).mean(axis=1)
    np.testing.assert_allclose([loss for _, loss, _ in curve], means)


def test_a_record_has_the_curve_if_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # the script adds its folder
    monkeypatch.setitem(sys.modules, "criteria", SimpleNamespace(of=lambda path: {"wrong": 1}))
    run, losses = script("run"), {50: 2.5, 75: 1.5}

    def trained_by(command, **options):
        place = pathlib.Path(command[command.index("--out") + 1])
        place.mkdir(parents=True, exist_ok=True)
        lines = [("train", step, loss) for step, loss in losses.items()] + [("test", 75, 1.0)]
        reports = [
            json.dumps({"step": step, "split": split, "metrics": {"loss": loss}, "seconds": 1.0})
            for split, step, loss in lines
        ]
        (place / "metrics.jsonl").write_text("\n".join(reports) + "\n")
        outcome = {"step": 75, "metrics": {"test": {"loss": 1.0}}, "seconds": 2.0}
        return SimpleNamespace(stdout=json.dumps(outcome) + "\n")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run.subprocess, "run", trained_by)
    record = run.run("adding", 3, [], curve=True)
    assert record["seed"] == 3 and record["curve"] == list(losses.items())
    assert "curve" not in run.run("adding", 3, [])
