"""Folders of runs: who may begin, go on or begin anew there."""

import os
import subprocess
import sys

import pytest

from jlstm.train.runs import folder, resolved

TABLES = {
    "data": {"source": "adding", "steps": 50},
    "network": {"input_size": 2, "layers": [{"hidden_size": 8}]},
    "train": {"steps": 100, "seed": 0},
}


def changed(**tables):
    return {name: table | tables.get(name, {}) for name, table in TABLES.items()}


@pytest.fixture
def run(tmp_path):
    """The folder of a run with one checkpoint."""
    with folder.opened(tmp_path / "runs" / "a", TABLES) as made:
        pass
    (made / "checkpoints" / "50").mkdir(parents=True)
    for name in ("metrics.jsonl", "events.out.tfevents.1.x", "curves.png", "model.safetensors"):
        (made / name).write_text("")
    return made


def refusal(path, tables, **options):
    with pytest.raises(ValueError) as error, folder.opened(path, tables, **options):
        pass
    return str(error.value)


def test_a_new_folder_gets_its_config(tmp_path):
    with folder.opened(tmp_path / "deep" / "run", TABLES) as made:
        assert made == tmp_path / "deep" / "run"
    assert resolved.read(made) == TABLES


def test_a_folder_with_a_run_is_refused(run):
    before = sorted(run.rglob("*"))
    assert refusal(run, TABLES) == (
        f"{run} holds a run of this config already, saved up to step 50; add --resume to go on "
        "with it, --overwrite to begin anew, or choose another folder"
    )
    assert "a run of another config already" in refusal(run, changed(train={"seed": 1}))
    assert "exclude each other" in refusal(run, TABLES, resume=True, overwrite=True)
    assert sorted(run.rglob("*")) == before


def test_a_run_goes_on_with_more_steps(run):
    more = changed(train={"steps": 500, "save_every": 7}) | {"mesh": {"data": 8}}
    with folder.opened(run, more, resume=True):
        assert (run / "checkpoints" / "50").is_dir() and (run / "metrics.jsonl").is_file()
    assert resolved.read(run) == more


def test_a_run_does_not_go_on_as_another_one(run):
    other = changed(train={"seed": 1}, data={"steps": None, "test": 0.1})
    other["network"] = {"input_size": 2, "layers": [{"hidden_size": 9}]}
    said = refusal(run, other, resume=True)
    for part in (
        "train.seed: 0 -> 1",
        "data.steps: 50 -> none",
        "data.test: none -> 0.1",
        "network.layers.0.hidden_size: 8 -> 9",
    ):
        assert part in said
    assert resolved.read(run) == TABLES


def test_equal_options_written_in_another_way_are_no_difference():
    assert resolved.differences({"a": {"b": (1, 2)}}, {"a": {"b": [1.0, 2], "c": None}}) == []


def test_a_run_without_checkpoints_may_go_on_as_any_other(run):
    (run / "checkpoints" / "50").rmdir()
    with folder.opened(run, changed(train={"seed": 1}), resume=True):
        assert resolved.read(run)["train"]["seed"] == 1


def test_resuming_where_nothing_is_begins_a_run(tmp_path):
    with folder.opened(tmp_path / "new", TABLES, resume=True) as made:
        assert resolved.read(made) == TABLES


def test_overwriting_removes_what_the_run_wrote_and_nothing_else(run):
    (run / "notes.txt").write_text("mine")
    (run / "checkpoints" / "50" / "state").write_text("")
    (run / "checkpoints" / "60.orbax-checkpoint-tmp").mkdir()
    (run / "checkpoints" / "best-of-all").mkdir()
    with folder.opened(run, TABLES, overwrite=True):
        left = {str(each.relative_to(run)) for each in run.rglob("*")}
    assert left == {".lock", "config.toml", "notes.txt", "checkpoints", "checkpoints/best-of-all"}


def test_a_config_that_somebody_wrote_stays(tmp_path):
    (tmp_path / "config.toml").write_text("[train]\n")
    assert "was not written by `jlstm train`" in refusal(tmp_path, TABLES, overwrite=True)
    assert (tmp_path / "config.toml").read_text() == "[train]\n"


def test_files_of_no_known_run_stay(tmp_path):
    (tmp_path / "model.safetensors").write_text("mine")
    assert "holds model.safetensors, but no config.toml" in refusal(
        tmp_path, TABLES, overwrite=True
    )
    assert (tmp_path / "model.safetensors").read_text() == "mine"


def test_a_link_to_another_disk_stays_a_link(run, tmp_path):
    (tmp_path / "disk" / "50").mkdir(parents=True)
    (run / "checkpoints" / "50").rmdir()
    (run / "checkpoints").rmdir()
    (run / "checkpoints").symlink_to(tmp_path / "disk")
    with folder.opened(run, TABLES, overwrite=True):
        assert (run / "checkpoints").is_symlink() and os.listdir(tmp_path / "disk") == []


def test_a_folder_that_cannot_be_written_to_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    assert "is a file" in refusal(tmp_path / "file", TABLES)
    assert "Not a directory" in refusal(tmp_path / "file" / "run", TABLES)
    assert "file names cannot hold" in refusal(tmp_path / "a\0b", TABLES)
    assert "too long" in refusal(tmp_path / ("n" * 300), TABLES)

    def full(path, write):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.writing, "try_by", full)
    new = tmp_path / "deep" / "run"
    assert refusal(new, TABLES) == f"cannot write a run to {new}: No space left on device"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]


def test_two_runs_do_not_share_a_folder(run):
    with folder.opened(run, TABLES, resume=True):
        for options in ({}, {"resume": True}, {"overwrite": True}):
            assert f"another process (process {os.getpid()} on " in refusal(run, TABLES, **options)
        assert (run / "checkpoints" / "50").is_dir()
    with folder.opened(run, TABLES, resume=True):
        pass


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
file.write("process 1 on elsewhere\\n")
file.flush()
print("locked", flush=True)
sys.stdin.read()
"""


def test_the_lock_of_a_killed_process_is_no_obstacle(run):
    (run / ".lock").write_text("")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"locked\n"
        assert "another process (process 1 on elsewhere) trains" in refusal(
            run, TABLES, resume=True
        )
        holder.kill()
        holder.wait()
        with folder.opened(run, TABLES, resume=True):
            pass


def test_a_folder_without_a_run_is_no_run(tmp_path):
    with pytest.raises(ValueError, match=r"holds no run: it has no config\.toml"):
        resolved.read(tmp_path)


def test_a_run_that_is_interrupted_before_its_first_checkpoint_leaves_nothing(tmp_path):
    def interrupted(path, checkpoint=None, **options):
        with pytest.raises(KeyboardInterrupt), folder.opened(path, TABLES, **options) as made:
            (made / "metrics.jsonl").write_text("")
            (made / "checkpoints" / (checkpoint or "")).mkdir(parents=True)
            raise KeyboardInterrupt

    interrupted(tmp_path / "deep" / "run")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notes.txt").write_text("mine")
    interrupted(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".lock", "notes.txt"]
    interrupted(tmp_path / "run", "50")
    before = sorted((tmp_path / "run").rglob("*"))
    assert tmp_path / "run" / "checkpoints" / "50" in before
    interrupted(tmp_path / "run", "60", resume=True)
    assert set(before) < set((tmp_path / "run").rglob("*"))
