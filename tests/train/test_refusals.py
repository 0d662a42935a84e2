"""Every refusal of an option of a config names the file, the option and what came."""

import dataclasses
import inspect
import sys

import jax
import pytest

from jlstm.config import Config
from jlstm.files import toml_writing
from jlstm.layer import Layer
from jlstm.train import run as runs
from jlstm.train.command.train import train
from jlstm.train.data import sources
from jlstm.train.optimizer import Optimizer
from jlstm.train.sections import MeshSizes, Run
from jlstm.train.tasks.classify import Classify

TABLES = {
    "data": {"source": "temporal_order", "train": 8, "test": 8},
    "task": {"name": "classify"},
    "network": {"layers": [{"hidden_size": 4}]},
    "optimizer": {},
    "train": {"out": "run", "steps": 2, "batch_size": 8},
    "mesh": {},
}


def options(kind):
    return [field.name for field in dataclasses.fields(kind)]


KEYS = [
    *(("data", name) for name in inspect.signature(sources.source("temporal_order")).parameters),
    ("data", "source"),
    *(("task", name) for name in ["name", *options(Classify)]),
    *(("network", name) for name in options(Config)),
    *(("network.layers", name) for name in options(Layer)),
    *(("optimizer", name) for name in options(Optimizer)),
    *(("train", name) for name in options(Run)),
    *(("mesh", name) for name in options(MeshSizes)),
]


class _AcceptedError(Exception):
    """The settings are accepted, and the run would begin."""


def refusal(tmp_path, monkeypatch, tables):
    """What a config is refused with; None if it is accepted."""

    def accept(*_, **__):
        raise _AcceptedError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs.folder, "opened", accept)
    (tmp_path / "mine.toml").write_text(toml_writing.dumps(tables))
    try:
        train("mine.toml", as_json=True)
    except _AcceptedError:
        return None
    except (TypeError, ValueError, ImportError) as error:
        return str(error)


def with_option(table, name, value):
    changed = {each: dict(own) for each, own in TABLES.items()}
    if table == "network.layers":
        changed["network"]["layers"] = [{"hidden_size": 4, name: value}]
    else:
        changed[table][name] = value
    return changed


def test_the_config_is_accepted(tmp_path, monkeypatch):
    assert refusal(tmp_path, monkeypatch, TABLES) is None


@pytest.mark.parametrize(("table", "name"), KEYS)
def test_a_refusal_names_the_file_and_the_option(tmp_path, monkeypatch, table, name):
    refused = 0
    large = [] if table == "data" else [10**6 + 1]  # so many sequences would be drawn
    for value in (-3, "wrong", [1.5], {"wrong": 1}, [[]], *large):
        said = refusal(tmp_path, monkeypatch, with_option(table, name, value))
        if said is not None:
            assert said.startswith("mine.toml: "), said
            known = [name, " of memory"] + ["optimizer"] * (name in ("name", "options"))
            assert any(word in said for word in known), said
            assert "\n" not in said
            refused += 1
    assert refused >= 3


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        ("train", {"metric": "accuracy"}, "metric of [train] needs a validation part"),
        ("train", {"patience": 3}, "patience of [train] needs a validation part"),
        ("mesh", {"data": 1000}, "[mesh] data = 1000, model = 1 needs 1000 devices"),
        ("network", {"input_size": 5}, "input_size is 5"),
        ("task", {"classes": 2}, "classes"),
        ("wrong", {}, "wrong"),
    ],
)
def test_a_refusal_that_the_data_or_the_devices_decide_names_the_file(
    tmp_path, monkeypatch, table, options, words
):
    said = refusal(tmp_path, monkeypatch, TABLES | {table: TABLES.get(table, {}) | options})
    assert said.startswith("mine.toml: ") and words in said


def test_a_batch_that_the_devices_cannot_share_names_the_file(tmp_path, monkeypatch):
    tables = with_option("train", "batch_size", 12) | {"mesh": {"data": 8}}
    assert len(jax.devices()) == 8
    said = refusal(tmp_path, monkeypatch, tables)
    assert said.startswith("mine.toml: batch_size is 12, which 8 devices cannot share evenly")


def test_a_missing_package_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    data = {"source": "series", "file": "a.parquet", "targets": "x", "history": 2, "horizon": 1}
    said = refusal(tmp_path, monkeypatch, TABLES | {"data": data, "task": {"name": "forecast"}})
    assert said.startswith("mine.toml: ") and "pip install" in said, said
