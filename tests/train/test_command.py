"""The commands train and eval: what a run learns, and what it leaves behind."""

import json

import jax
import numpy as np
import pytest
from jax.export import deserialize

from jlstm import Config
from jlstm.files import models, tensor_file
from jlstm.files.command import write
from jlstm.interop.command import convert
from jlstm.train import loop, trained
from jlstm.train.command.evaluate import evaluate
from jlstm.train.command.train import train
from jlstm.train.data import sources
from jlstm.train.data.split import Meaning
from jlstm.train.runs import curves, resolved
from jlstm.train.tasks import names

SMALL = """
[data]
source = "digits"
[task]
name = "classify"
[[network.layers]]
hidden_size = 32
[optimizer]
learning_rate = 3e-3
[train]
out = "unused"
steps = 60
steps_per_call = 20
evaluate_every = 60
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a short run, and what its command printed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "small.toml").write_text(SMALL)
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(words)))
        train(folder / "small.toml", out=folder / "deep" / "run", as_json=True)
    return folder / "deep" / "run", json.loads(lines[0])


@pytest.fixture
def small(tmp_path):
    """The path of a config."""
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path / "small.toml"


def evaluated(path, capsys):
    capsys.readouterr()
    evaluate(path, as_json=True)
    return json.loads(capsys.readouterr().out)


def test_a_short_run_learns_and_eval_measures_the_same(run, capsys):
    folder, said = run
    assert said["folder"] == str(folder) and said["step"] == said["best_step"] == 60
    metrics = evaluated(folder, capsys)
    assert metrics == evaluated(folder / "model.safetensors", capsys)
    assert metrics == pytest.approx(said["metrics"]["test"], abs=1e-5)
    assert metrics["accuracy"] > 0.4, "60 steps read far more digits right than one in ten"
    evaluate(folder)
    assert f"accuracy {metrics['accuracy']:.4f}" in capsys.readouterr().out


TEXT = """
[data]
source = "text"
path = "{path}"
[task]
name = "language"
[[network.layers]]
hidden_size = 4
[train]
out = "unused"
steps = 2
batch_size = 8
unroll = 8
evaluate_every = 2
"""


@pytest.mark.full
def test_eval_of_a_text_measures_the_same_rows(tmp_path, capsys):
    """The first characters of each row have none before them, so more rows make other figures."""
    (tmp_path / "mine.txt").write_text("the quick brown fox jumps over the lazy dog. " * 40)
    (tmp_path / "text.toml").write_text(TEXT.format(path=(tmp_path / "mine.txt").as_posix()))
    train(tmp_path / "text.toml", out=tmp_path / "run", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert evaluated(tmp_path / "run", capsys) == pytest.approx(said["metrics"]["test"], abs=1e-5)


def test_the_folder_holds_all_of_the_run(run):
    names = {path.name for path in run[0].iterdir()}
    assert {"config.toml", "checkpoints", "metrics.jsonl", "model.safetensors"} <= names


def test_the_model_file_holds_the_network_its_readout_and_what_it_is_for(run):
    path = run[0] / "model.safetensors"
    assert models.load(path)[0] == Config.stack(8, [32])
    shapes = {name: array.shape for name, array in models.load_extra(path).items()}
    assert shapes == {"readout.w": (32, 10), "readout.b": (10,)}
    notes = {name: json.loads(text) for name, text in models.load_notes(path).items()}
    assert notes["task"] == {"name": "classify", "classes": 10, "readout": "last"}
    assert notes["data"] == {"source": "digits", "shift": 0.0, "valid": 0}
    assert resolved.read(run[0])["data"] == notes["data"]
    assert notes["meaning"]["classes"] == list("0123456789")


def test_a_model_classifies_alike_when_exported_or_converted(run, tmp_path, capsys):
    path, said = run[0] / "model.safetensors", run[1]
    write(path, tmp_path / "model.jax", time_major=False, platforms=["cpu"])
    program = deserialize((tmp_path / "model.jax").read_bytes())
    test = sources.load({"source": "digits"}).test
    zeros = np.zeros((len(test.xs), 32), "float32")
    _, scores = program.call(((zeros, zeros),), test.xs)
    right = np.mean(np.argmax(scores, -1) == test.targets)
    assert right == pytest.approx(said["metrics"]["test"]["accuracy"])
    copy = tmp_path / "copy.safetensors"
    convert(path, copy, "jlstm", "jlstm")
    assert models.load_notes(copy) == models.load_notes(path)
    assert evaluated(copy, capsys) == evaluated(path, capsys)


@pytest.mark.parametrize(
    "task",
    [
        {"name": "classify", "readout": "mean"},
        {"name": "classify", "readout": "attention"},
        {"name": "classify", "vocabulary": 5},
        {"name": "label", "classes": 10},
        {"name": "regress", "values": 3},
        {"name": "forecast", "horizon": 3},
        {"name": "language", "vocabulary": 5},
        {"name": "language", "vocabulary": 5, "tied": True},
        {"name": "ctc", "classes": 3},
    ],
)
def test_only_a_readout_that_a_program_has_is_exported(tmp_path, task):
    made = names.from_table({"classes": 10} | task if task["name"] == "classify" else task)
    config = Config.stack(4, [4])
    model = made.new(jax.random.key(0), config)
    path = tmp_path / "model.safetensors"
    trained.save(path, trained.Trained(config, made, model, Meaning(), {}, None))
    with pytest.raises(ValueError, match=r"add --network-only"):
        write(path, tmp_path / "model.jax", platforms=["cpu"])
    write(path, tmp_path / "model.jax", platforms=["cpu"], network_only=True)


@pytest.mark.full
def test_one_seed_gives_one_model_however_the_steps_are_grouped(small, tmp_path):
    made = []
    for seed, together in ((0, 7), (0, 3), (1, 7)):
        changes = ["train.steps=7", f"train.steps_per_call={together}", f"train.seed={seed}"]
        changes += ["data.shift=0.5", "train.evaluate_every=7"]
        out = tmp_path / f"{seed}-{together}"
        train(small, out=out, changes=changes, as_json=True)
        made.append(trained.load(out / "model.safetensors").model)
    for a, b in zip(*map(jax.tree.leaves, made[:2]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.any(np.asarray(made[0].head.w) != np.asarray(made[2].head.w))


@pytest.fixture
def not_trained(small, monkeypatch):
    """The path of a config, and a training that must not begin."""
    monkeypatch.setattr(loop, "updates", lambda *_, **__: pytest.fail("trained for nothing"))
    return small


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("file/run", "Not a directory"),
        ("a" * 256, "File name too long"),
        ("new/" + "a" * 256, "File name too long"),
        ("a\0b", "file names cannot hold all of its characters"),
        ("small.toml", "is a file; choose another folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_known_before_training(
    tmp_path, not_trained, name, words
):
    (tmp_path / "file").touch()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=words):
        train(not_trained, out=tmp_path / name, overwrite=True)
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_and_a_header_that_is_too_long_are_known_before_training(
    tmp_path, not_trained, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(ValueError, match="No space left"):
            train(not_trained, out=tmp_path / "new" / "run")
    monkeypatch.setattr(tensor_file, "_LONGEST", 100)
    with pytest.raises(ValueError, match=r"the header .* expected at most 100"):
        train(not_trained, out=tmp_path / "new" / "run")
    assert list(tmp_path.iterdir()) == [not_trained]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["train.metric=accuracy"], "metric of .train. needs a validation part"),
        (["train.patience=3"], "patience of .train. needs a validation part"),
        (["train.metric=acuracy", "data.valid=50"], "did you mean 'accuracy'"),
    ],
)
def test_a_metric_that_cannot_choose_is_known_before_training(
    tmp_path, not_trained, changes, words
):
    with pytest.raises(ValueError, match=words):
        train(not_trained, out=tmp_path / "run", changes=changes)
    assert list(tmp_path.iterdir()) == [not_trained]


@pytest.mark.full
@pytest.mark.parametrize("as_json", [True, False])
def test_a_picture_that_cannot_be_written_hides_no_result(
    tmp_path, small, monkeypatch, capsys, as_json
):
    out = tmp_path / "run"

    def full(folder):
        raise OSError(28, "cannot write it: No space left on device", f"{folder}/curves.png")

    monkeypatch.setattr(curves, "draw", full)
    changes = ["train.steps=2", "train.evaluate_every=2"]
    assert train(small, out=out, changes=changes, as_json=as_json) == 0
    said = f"cannot write {out}/curves.png: No space left on device"
    printed = capsys.readouterr()
    if as_json:
        assert json.loads(printed.out)["warnings"] == [said]
    else:
        assert f"{out} holds the model of step 2" in printed.out
    assert f"warning: {said}\n" in printed.err
    assert trained.load(out / "model.safetensors") and (out / "checkpoints" / "2").is_dir()


def test_a_run_that_cannot_be_replaced_stays(run, small, monkeypatch):
    before = (run[0] / "model.safetensors").read_bytes()
    monkeypatch.setattr(tensor_file, "_LONGEST", 100)
    with pytest.raises(ValueError, match=r"the header .* expected at most 100"):
        train(small, out=run[0], overwrite=True)
    assert (run[0] / "model.safetensors").read_bytes() == before


@pytest.mark.full
def test_a_loss_that_is_no_number_ends_the_training(small, tmp_path, capsys):
    changes = ["train.steps=7", "optimizer.learning_rate=1e38"]
    with pytest.raises(ValueError, match=r"at step \d of 7.*learning_rate below 1e\+38") as error:
        train(small, out=tmp_path / "run", changes=changes)
    assert "\n" not in str(error.value)
    assert "nan" not in capsys.readouterr().err


@pytest.mark.full
def test_a_run_goes_on_to_more_steps(small, tmp_path, capsys):
    out = tmp_path / "run"
    for steps in (2, 4):
        changes = [f"train.steps={steps}", "train.evaluate_every=2"]
        train(small, out=out, changes=changes, resume=True, as_json=True)
        assert json.loads(capsys.readouterr().out)["step"] == steps
    schedule = ["optimizer.schedule=cosine_decay_schedule", "train.evaluate_every=2"]
    train(small, out=tmp_path / "b", changes=["train.steps=2", *schedule], as_json=True)
    with pytest.raises(ValueError, match=r"train\.steps: 2 -> 4; undo these changes"):
        train(small, out=tmp_path / "b", changes=["train.steps=4", *schedule], resume=True)


@pytest.mark.long
def test_the_digits_are_read(tmp_path, capsys):
    train("configs/digits.toml", out=tmp_path / "run", as_json=True)
    assert json.loads(capsys.readouterr().out)["metrics"]["test"]["accuracy"] >= 0.97


@pytest.mark.full
def test_a_run_does_not_go_on_with_changed_data(tmp_path):
    """The new rows have another mean, which the model's file would have held."""
    rows = "".join(f"{n % 7}\n" for n in range(60))
    (tmp_path / "a.csv").write_text("load\n" + rows)
    data = f'source = "series"\nfile = "{(tmp_path / "a.csv").as_posix()}"\ntargets = "load"\n'
    text = SMALL.replace('source = "digits"', data + 'inputs = "load"\nhistory = 4\nhorizon = 2')
    (tmp_path / "a.toml").write_text(text.replace("classify", "forecast"))
    changes = ["train.steps=2", "train.evaluate_every=2"]
    train(tmp_path / "a.toml", out=tmp_path / "run", changes=changes, as_json=True)
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    (tmp_path / "a.csv").write_text("load\n" + rows + "900\n" * 30)
    with pytest.raises(ValueError, match="holds a run on other data; restore the file"):
        train(tmp_path / "a.toml", out=tmp_path / "run", changes=changes, resume=True)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
