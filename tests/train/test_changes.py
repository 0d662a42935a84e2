"""What --set does to a config."""

import json

import pytest

from jlstm.train import settings
from jlstm.train.changes import changed
from jlstm.train.data import sources

TABLES = {"data": {"file": "a.csv", "time": "day"}, "train": {"steps": 9}, "mesh": {}, "task": 3}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("data.time=", {"data": {"file": "a.csv"}}),
        ("data.time= ", {"data": {"file": "a.csv"}}),
        ('data.time=""', {"data": {"file": "a.csv", "time": ""}}),
        ("data.file=b=c.csv", {"data": {"file": "b=c.csv", "time": "day"}}),
        (" train . steps = 5 ", {"train": {"steps": 5}}),
        ("data.file=[a].csv", {"data": {"file": "[a].csv", "time": "day"}}),
        ('data.file=["a", "b"]', {"data": {"file": ["a", "b"], "time": "day"}}),
        ("train.seed=1", {"train": {"steps": 9, "seed": 1}}),
        ("optimizer.learning_rate=1e-3", {"optimizer": {"learning_rate": 1e-3}}),
    ],
)
def test_a_value_is_replaced_added_or_removed(change, wanted):
    before = json.dumps(TABLES)
    assert changed(TABLES, [change]) == TABLES | wanted
    assert json.dumps(TABLES) == before


def test_the_last_change_of_a_key_holds():
    assert changed(TABLES, ["data.time=", "data.time=hour"])["data"]["time"] == "hour"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.tiem=", r"data\.tiem=.*\[data\] has no such key to remove; .*time"),
        ("mesh.model=", r"\[mesh\] has no such key to remove; it has no keys"),
        ("optimizer.average=", r"\[optimizer\] has no such key to remove; it has no keys"),
        ("data.time", "expected TABLE.KEY=VALUE"),
        ("time=", "expected TABLE.KEY=VALUE"),
        ("date.time=", "the table of --set is 'date'.*data"),
        ("data.inputs=[a,b]", r"\[a,b\]', which is not TOML; put single quotes around all of it"),
        ("data.inputs={a=b}", "which is not TOML; put single quotes"),
        ("task.name=", "task is no table, so --set cannot change task.name"),
    ],
)
def test_changes_that_cannot_be_made_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        changed(TABLES, [change])


def test_the_shipped_config_reads_a_csv_file_without_times(tmp_path):
    (tmp_path / "a.csv").write_text("amount\n" + "".join(f"{n % 7}\n" for n in range(60)))
    data = ["targets=amount", "inputs=amount", "history=4", "horizon=2", "time="]
    changes = [f"data.file={(tmp_path / 'a.csv').as_posix()}", *(f"data.{each}" for each in data)]
    tables = settings.read("configs/forecast.toml", changes)
    settings.require_valid(tables)
    made = settings.resolved(tables, sources.load(tables["data"]))
    assert made.network.input_size == 1 and "time" not in made.data
