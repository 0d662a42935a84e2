"""The page about training says what is there."""

import dataclasses
import pathlib
import re

import pytest

from jlstm.commands import Train
from jlstm.train.data import sources
from jlstm.train.optimizer import Optimizer
from jlstm.train.sections import TABLES, MeshSizes, Run
from jlstm.train.tasks.names import TASKS

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "training.md").read_text()


def section(title):
    """The rows of the table below a heading, as cells."""
    body = PAGE.split(f"### [{title}]\n")[1].split("\n#")[0]
    rows = [line.strip("|").split("|") for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


@pytest.mark.parametrize(
    ("title", "cls"), [("optimizer", Optimizer), ("train", Run), ("mesh", MeshSizes)]
)
def test_the_tables_have_every_key_with_its_default(title, cls):
    rows = {row[0].strip("`"): row[1] for row in section(title)}
    fields = {field.name: field for field in dataclasses.fields(cls)}
    assert list(rows) == list(fields)
    for name, field in fields.items():
        if isinstance(field.default, (int, float, str)):
            assert rows[name].strip('"') == str(field.default), name


def test_every_table_task_and_source_is_there():
    assert re.findall(r"^### \[(\w+)\]", PAGE, re.MULTILINE) == list(TABLES)
    rows = {row[0].strip("`"): row[2] for row in section("task")}
    assert set(rows) == set(TASKS)
    for name, cls in TASKS.items():
        options = {field.name for field in dataclasses.fields(cls)}
        assert set(re.findall(r"`(\w+)`", rows[name])) == options, name
    named = [name for row in section("data") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(sources.SOURCES)
    for row in section("data"):
        assert set(row[1].split(", ")) <= set(TASKS) | {"any but language"}


def test_the_options_of_the_commands_are_there():
    known = {field.name for field in dataclasses.fields(Train)}
    assert {"resume", "overwrite", "set", "out"} <= known
    for line in re.findall(r"^    jlstm train (.*)$", PAGE, re.MULTILINE):
        assert (ROOT / line.split()[0]).is_file()


BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_python_runs(block):
    if "import grain" in block:
        pytest.importorskip("grain")
    exec(compile(block, "training.md", "exec"), {})
