"""Training runs: what they learn, and what they leave behind."""

import concurrent.futures
import functools
import pathlib
import tempfile
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.export import deserialize

from jlstm import Config
from jlstm.files import models, tensor_file
from jlstm.files.command import write
from jlstm.interop.command import convert
from jlstm.train import classify, command, data, loop, output
from tests.networks import assert_close

SMALL = """
[network]
input_size = 8
[[network.layers]]
hidden_size = 32
[train]
task = "digits"
out = "model.safetensors"
steps = 130
steps_per_call = 50
"""


@pytest.fixture
def trained(tmp_path, capsys):
    """A short run's model file and what it printed."""
    (tmp_path / "small.toml").write_text(SMALL)
    command.train(tmp_path / "small.toml", tmp_path / "deep" / "model")
    return tmp_path / "deep" / "model", capsys.readouterr().out


def accuracy_line(text):
    (line,) = [line for line in text.splitlines() if line.startswith("test accuracy")]
    return line


def test_a_short_run_learns_and_eval_prints_its_accuracy_again(trained, capsys):
    path, printed = trained
    command.evaluate(path)
    assert accuracy_line(capsys.readouterr().out) == accuracy_line(printed)
    accuracy = float(accuracy_line(printed).split()[2].rstrip("%"))
    assert accuracy > 60, "130 steps read far more digits right than one in ten"


def test_the_model_file_holds_the_network_and_its_readout(trained):
    config, _ = models.load(trained[0])
    assert config == Config.stack(8, [32])
    assert {n: a.shape for n, a in models.load_extra(trained[0]).items()} == {
        "readout.w": (32, 10),
        "readout.b": (10,),
    }


def test_a_model_classifies_alike_when_exported_or_converted(trained, tmp_path, capsys):
    path, printed = trained
    write(path, tmp_path / "model.jax", time_major=False, platforms=["cpu"])
    program = deserialize((tmp_path / "model.jax").read_bytes())
    test = data.digits()[1]
    zeros = np.zeros((len(test.xs), 32), "float32")
    _, scores = program.call(((zeros, zeros),), test.xs)
    right = np.mean(np.argmax(scores, -1) == test.labels)
    assert accuracy_line(printed).startswith(f"test accuracy {right:.2%}")
    convert(path, path, "jlstm", "jlstm")
    capsys.readouterr()
    command.evaluate(path)
    assert accuracy_line(capsys.readouterr().out) == accuracy_line(printed)


def test_one_seed_gives_one_model_however_the_steps_are_grouped():
    train_set, _ = data.digits()
    config, seen, models = Config.stack(8, [8]), [], []
    for seed, together in ((0, 7), (0, 3), (1, 7)):
        run = loop.Run("digits", "m", steps=7, steps_per_call=together, seed=seed, shift=0.5)
        report = lambda step, loss, accuracy: seen.append(step)  # noqa: E731
        models.append(loop.train(config, run, 10, train_set, report))
    assert seen == [7, 3, 6, 7, 7]
    assert_close(models[0], models[1], atol=1e-6)
    assert np.any(models[0].w != models[2].w)


def test_the_split_is_fixed_and_fair():
    (train_set, test_set), (again, _) = data.digits(), data.digits()
    assert (len(train_set.labels), len(test_set.labels)) == (1437, 360)
    np.testing.assert_array_equal(train_set.xs, again.xs)
    assert test_set.xs.shape == (360, 8, 8) and test_set.xs.max() <= 1
    shares = [np.bincount(s.labels) / len(s.labels) for s in (train_set, test_set)]
    np.testing.assert_allclose(*shares, atol=0.005)
    both = {a.tobytes() for a in train_set.xs} & {a.tobytes() for a in test_set.xs}
    assert not both, "no digit is on both sides"


def test_shifts_move_whole_images_by_at_most_a_pixel():
    images = jnp.zeros((200, 8, 8)).at[:, 3, 4].set(1.0)
    moved = np.asarray(data.shifted(jax.random.key(0), images, 1.0))
    _, rows, columns = np.nonzero(moved)
    assert len(rows) == 200
    assert set(rows) == {2, 3, 4} and set(columns) == {3, 4, 5}
    some = np.asarray(data.shifted(jax.random.key(0), images, 0.5))
    assert 0.35 < (some != images).any((1, 2)).mean() < 0.6  # 8 of 9 moves move
    np.testing.assert_array_equal(data.shifted(jax.random.key(0), images, 0.0), images)


@pytest.fixture
def not_trained(tmp_path, monkeypatch):
    """The path of a config, and a training that must not begin."""
    (tmp_path / "small.toml").write_text(SMALL)
    monkeypatch.setattr(loop, "train", lambda *_: pytest.fail("trained for nothing"))
    return tmp_path / "small.toml"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "it is a folder"),
        ("file/model", "Not a directory"),
        ("a" * 256, "File name too long"),
        ("new/" + "a" * 256, "File name too long"),
        ("a\0b", "file names cannot hold all of its characters"),
        ("new/a\0b", "file names cannot hold all of its characters"),
        ("read-only", "the file is read-only"),
    ],
)
def test_a_place_that_cannot_be_written_is_known_before_training(
    tmp_path, not_trained, name, words
):
    (tmp_path / "file").touch()
    (tmp_path / "read-only").touch(0o444)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=f"cannot write .*{words}"):
        command.train(not_trained, tmp_path / name, overwrite=True)
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_and_a_header_that_is_too_long_are_known_before_training(
    tmp_path, not_trained, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ValueError, match=r"cannot write the model to .*model: No space left"):
        command.train(not_trained, tmp_path / "new" / "model")
    monkeypatch.setattr(tensor_file, "_LONGEST", 100)
    with pytest.raises(ValueError, match=r"the header .* expected at most 100"):
        command.train(not_trained, tmp_path / "new" / "model")
    assert list(tmp_path.iterdir()) == [not_trained]


@pytest.mark.parametrize("name", ["a" * 255, "new/folder/" + "a" * 240])
def test_a_long_name_and_a_new_folder_will_do(tmp_path, monkeypatch, name):
    (tmp_path / "small.toml").write_text(SMALL)

    def train(config, *_):
        assert list(tmp_path.iterdir()) == [tmp_path / "small.toml"], "the trial leaves nothing"
        return classify.new(jax.random.key(0), config, 10)

    monkeypatch.setattr(loop, "train", train)
    command.train(tmp_path / "small.toml", tmp_path / name)
    assert models.load(tmp_path / name)[0] == Config.stack(8, [32])


def test_a_name_is_printed_as_it_is(tmp_path, not_trained, monkeypatch, capsys):
    monkeypatch.setattr(
        loop, "train", lambda config, *_: classify.new(jax.random.key(0), config, 10)
    )
    command.train(not_trained, tmp_path / "[red]a[b].safetensors")
    assert "[red]a[b].safetensors; `jlstm eval" in capsys.readouterr().out


def test_a_file_that_exists_is_replaced_only_if_told(tmp_path, not_trained, monkeypatch):
    out = tmp_path / "model"
    out.write_bytes(b"before")
    with pytest.raises(ValueError, match="model exists; add --overwrite to replace it, or choose"):
        command.train(not_trained, out)
    assert out.read_bytes() == b"before"
    with pytest.raises(ValueError, match=r"small\.toml would be replaced by the model; choose"):
        command.train(not_trained, not_trained, overwrite=True)
    monkeypatch.setattr(
        loop, "train", lambda config, *_: classify.new(jax.random.key(0), config, 10)
    )
    command.train(not_trained, out, overwrite=True)
    assert models.load(out)[0] == Config.stack(8, [32])
    command.train(not_trained, pathlib.Path("/dev/null"))


def test_two_runs_to_one_file_keep_both_models(tmp_path, not_trained, monkeypatch, capsys):
    out = tmp_path / "model"

    def train(config, *_):
        out.write_bytes(b"of the other run")
        return classify.new(jax.random.key(0), config, 10)

    monkeypatch.setattr(loop, "train", train)
    command.train(not_trained, out)
    assert out.read_bytes() == b"of the other run"
    (other,) = tmp_path.glob("model-*.safetensors")
    assert models.load(other)[0] == Config.stack(8, [32])
    printed = capsys.readouterr().out
    assert f"{out} was written by something else meanwhile" in printed
    assert f"saved {other}" in printed


@pytest.mark.parametrize("links", [True, False])
def test_a_run_that_ends_at_the_same_time_loses_no_model(tmp_path, monkeypatch, links):
    path = tmp_path / "model"

    def save(place):
        place.write_bytes(b"ours")
        path.write_bytes(b"theirs")

    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr("os.link", refused)
    place = output.write(path, False, save)
    assert place.read_bytes() == b"ours"
    assert path.read_bytes() == b"theirs"
    path.unlink()
    assert output.write(path, False, lambda place: place.write_bytes(b"more")) == path
    assert path.read_bytes() == b"more"
    assert sorted(tmp_path.iterdir()) == [path, place]


def test_many_runs_to_one_file_keep_all_models(tmp_path):
    """All of them save at once, when none has found a file."""
    together = threading.Barrier(8)

    def save(content, place):
        together.wait()
        place.write_bytes(content)

    def run(n):
        return output.write(tmp_path / "model", False, functools.partial(save, b"%d" % n))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        places = list(pool.map(run, range(8)))
    assert [place.read_bytes() for place in places] == [b"%d" % n for n in range(8)]
    assert tmp_path / "model" in places


def test_a_disk_that_became_full_meanwhile_does_not_cost_the_model(
    tmp_path, not_trained, monkeypatch
):
    folder = tmp_path / "folder"
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "other"))

    def train(config, *_):
        folder.write_bytes(b"in the way")
        return classify.new(jax.random.key(0), config, 10)

    monkeypatch.setattr(loop, "train", train)
    with pytest.raises(ValueError, match=r"cannot write the model to .* the model is in ") as error:
        command.train(not_trained, folder / "model")
    (other,) = (tmp_path / "other").iterdir()
    assert str(other) in str(error.value)
    assert models.load(other)[0] == Config.stack(8, [32])


@pytest.mark.parametrize(
    ("steps", "rate", "words"),
    [
        (7, 1e308, r"the loss became nan at step 2 of 7; .* learning_rate below 1e\+308$"),
        (1, 1e308, "the parameters became NaN or infinite at step 1; no model is saved; try"),
    ],
)
def test_a_loss_that_is_no_number_ends_the_training(tmp_path, capsys, steps, rate, words):
    text = SMALL.replace("steps = 130", f"steps = {steps}") + f"learning_rate = {rate}\n"
    (tmp_path / "small.toml").write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        command.train(tmp_path / "small.toml", tmp_path / "new" / "model")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]
    assert "accuracy nan" not in capsys.readouterr().out


def test_the_step_is_that_of_the_first_loss_that_is_no_number():
    run = loop.Run("digits", "m", steps=9)
    loop._require_finite(run, 0, np.ones(3, "float32"))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=f"the loss became {bad} at step 8 of 9"):
            loop._require_finite(run, 6, np.asarray([1, bad, np.nan], "float32"))


@pytest.mark.long
def test_the_digits_are_read(tmp_path, capsys):
    command.train("configs/digits.toml", tmp_path / "model")
    accuracy = float(accuracy_line(capsys.readouterr().out).split()[2].rstrip("%"))
    assert accuracy >= 97
