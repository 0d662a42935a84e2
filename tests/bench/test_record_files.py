"""Files of records are appended to, read back, and refused if they are broken."""

from importlib.util import find_spec

import pytest

from jlstm.bench import records
from jlstm.bench.cases import Shape
from jlstm.files import config_toml
from tests.bench.comparing import CASE
from tests.bench.made_up import CEILINGS, outcome


@pytest.fixture
def run():
    """The records of a run: two contenders in two modes, and one that was left out."""
    shared = records.of_run("jlstm bench", 1, CEILINGS)
    outcomes = [outcome(mode, {"jlstm scan": 1.0, "slow": 2.0}) for mode in ("forward", "training")]
    return [line for each in outcomes for line in records.of_case(shared, CASE, each)]


@pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.gz"])
def test_records_hold_what_it_takes_to_do_it_again(run, tmp_path, name):
    path = tmp_path / name
    for _ in range(2):
        with records.appending(path) as write:
            write(run)
    lines = records.read(path)
    assert lines == run + run and len(run) == 6
    for line in lines:
        assert config_toml.loads(line["config"]) == CASE.config
        assert Shape(**line["shape"]) == CASE.shape
        assert (line["command"], line["threads"]) == ("jlstm bench", 1)
        for package in ("jax", "torch", "onnxruntime"):
            installed = line["versions"][package] != "not installed"
            assert installed == (find_spec(package) is not None)
        if "left_out" not in line:
            assert {"rounds_s", "lower_s", "compile_s", "first_call_s", "memory_bytes"} <= set(line)
            low, high = line["interval_s"]
            assert low <= line["median_s"] <= high


@pytest.mark.parametrize("text", ["", "{}\n", "no json\n", '{"case": 1\n', "[1]\n"])
def test_files_that_hold_no_records_are_refused_by_line(tmp_path, text):
    path = tmp_path / "records.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"records.jsonl"):
        records.read(path)


def test_a_broken_compressed_file_is_refused(run, tmp_path, monkeypatch):
    path = tmp_path / "records.jsonl.gz"
    with records.appending(path) as write:
        write(run)
    whole = path.read_bytes()
    for broken in (whole[:-20], whole[5:], whole[:20] + b"zzzz" + whole[24:]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"records.jsonl.gz is not a"):
            records.read(path)
    path.write_bytes(whole)
    monkeypatch.setattr(records, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1,000 bytes of records"):
        records.read(path)


def test_a_run_that_fails_leaves_no_empty_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), records.appending(tmp_path / "records.jsonl"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
