"""`jlstm bench` as a command: what it prints and appends, and that it stops at Ctrl-C."""

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
    assert process.returncode == 130 and said == "jlstm: stopped\n"
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
