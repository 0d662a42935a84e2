"""`jlstm bench` as a command: what it prints and appends, and that it stops at Ctrl-C."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from jlstm.bench import command, records
from tests.bench.comparing import CASE
from tests.bench.made_up import CEILINGS, outcome
from tests.planted import OURS, planted

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.full
def test_stopping_in_the_middle_leaves_valid_records_of_what_was_done(tmp_path):
    suite, out = tmp_path / "suite.toml", tmp_path / "records.jsonl"
    suite.write_text(
        "".join(
            f'[[case]]\nname = "{name}"\ntime_steps = 3\nbatch_size = 1\ninput_size = 3\n'
            'hidden_size = 4\nmodes = ["forward"]\n'
            for name in ("first", "second")
        )
    )
    script = tmp_path / "run.py"
    script.write_text(
        "import signal\n"
        "from jlstm.cli import main\n"
        "if __name__ == '__main__':\n"
        "    # Where these tests run in the background, the process starts deaf to Ctrl-C.\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    main()\n"
    )
    words = [sys.executable, script, "bench", suite, "--out", out, "--only", "scan by hand"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*words, "--seconds", "4"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (out.exists() and out.read_text().count("\n") == 2):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and said.endswith("case second\njlstm: stopped\n")
    assert {line["case"] for line in records.read(out)} == {"first"}


def test_an_unknown_contender_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="torch"):
        command.run(None, only=["torhc"])


def test_the_command_prints_tables_and_appends_records(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "_ceilings", lambda threads: CEILINGS)
    suite, out = tmp_path / "suite.toml", tmp_path / "records.jsonl"
    suite.write_text(
        "[[case]]\nname = 'small'\ninput_size = 3\nhidden_sizes = [4, 5]\ntime_steps = 6\n"
        "batch_size = 2\nmodes = ['forward']\n"
    )
    shared = records.of_run("jlstm bench", 1, CEILINGS)
    earlier = list(records.of_case(shared, CASE, outcome("forward", {OURS.name: 1e-3})))
    with records.appending(out) as write:
        write(earlier)
    contenders = [OURS, planted("wrong"), planted("missing")]
    command.run(suite, out=out, seconds=0.0, threads=1, contenders=contenders, old=out)
    text = capsys.readouterr().out
    assert "not timed: wrong (does not agree" in text
    assert "missing does not take part: needs: pip install planted" in text
    assert "of 1 cases and modes" in text and "of 1 measurements are within noise" in text
    lines = records.read(out)
    assert lines[:-2] == earlier
    assert [line["contender"] for line in lines[-2:]] == [OURS.name, "wrong"]


def test_as_json_it_prints_the_records_with_ratios(tmp_path, capsys, monkeypatch):
    outcomes = [outcome(mode, {OURS.name: 1e-3, "slow": 3e-3}) for mode in ("forward", "training")]
    monkeypatch.setattr(command, "_ceilings", lambda threads: CEILINGS)
    monkeypatch.setattr(command, "started", lambda *_: ({}, {"gone": "needs: pip install gone"}))
    monkeypatch.setattr(command, "compare", lambda *_: outcomes)
    suite, out = tmp_path / "suite.toml", tmp_path / "records.jsonl"
    suite.write_text(
        "[[case]]\nname = 'small'\ninput_size = 3\nhidden_sizes = [4, 5]\ntime_steps = 6\n"
        "batch_size = 2\n"
    )
    command.run(suite, out=out, seconds=0.0, threads=1, as_json=True)
    command.run(suite, seconds=0.0, threads=1, as_json=True, old=out)
    printed = capsys.readouterr()
    stages = ["measuring the speed of this machine", "starting each library in a process"]
    assert printed.err.splitlines() == [*stages, "case small"] * 2
    first, second = map(json.loads, printed.out.splitlines())
    assert first.keys() == {"records", "did_not_take_part"}
    assert first["did_not_take_part"] == {"gone": "needs: pip install gone"}
    ratios = [record.pop("ratio", None) for record in first["records"]]
    assert first["records"] == records.read(out)
    for record, of_record in zip(first["records"], ratios, strict=True):
        assert (of_record is None) == ("left_out" in record)
        if record["contender"] == OURS.name:
            assert of_record == {"median": 1.0, "low": 1.0, "high": 1.0}
        if record["contender"] == "slow":
            assert 2.9 < of_record["low"] <= of_record["median"] < 3.1
    assert {change["verdict"] for change in second["changes"]} == {"within noise"}
