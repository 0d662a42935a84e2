"""Runs that are killed: what they lose, and that they end as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

CONFIG = """
[data]
source = "digits"
valid = 100
shift = 0.5
[task]
name = "classify"
[[network.layers]]
hidden_size = 16
dropout = 0.2
[optimizer]
average = 0.99
schedule = "cosine_decay_schedule"
[train]
out = "run"
steps = {steps}
batch_size = 16
steps_per_call = 10
evaluate_every = 50
save_every = {every}
"""
COMMAND = [sys.executable, "-m", "jlstm", "train", "c.toml", "--resume", "--json"]


def begun(folder, command=COMMAND):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def reports(folder):
    """What the run measured, without the seconds, by step and split."""
    path = folder / "run" / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    made = [json.loads(line) for line in lines]
    return {(each["step"], each["split"]): each["metrics"] for each in made}


def newest(folder):
    steps = [
        int(each.name)
        for each in (folder / "run/checkpoints").glob("[0-9]*")
        if each.name.isdigit()
    ]
    return max(steps, default=0)


def finished(folder):
    process = begun(folder)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


def killed_and_finished(tmp_path, kills, steps, every, seconds):
    """A run that is killed at random moments ends as one that is not. The steps lost by each."""
    draw, lost = random.Random(0), []
    whole, other = tmp_path / "whole", tmp_path / "other"
    for folder in (whole, other):
        folder.mkdir()
        (folder / "c.toml").write_text(CONFIG.format(steps=steps, every=every))
    wanted = finished(whole)
    while len(lost) < kills:
        process, seen = begun(other), reports(other)
        while process.poll() is None and len(reports(other)) == len(seen):
            time.sleep(0.02)  # until it goes on
        time.sleep(draw.uniform(0, seconds))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break
        reached = max((step for step, _ in reports(other)), default=0)
        lost.append(reached - newest(other))
    found = finished(other)
    assert lost and max(lost) <= every
    assert {k: v for k, v in found.items() if k != "seconds"} == {
        k: v for k, v in wanted.items() if k != "seconds"
    }
    assert reports(other) == reports(whole), "bit for bit"
    models = [(folder / "run/model.safetensors").read_bytes() for folder in (whole, other)]
    assert models[0] == models[1]
    return lost


@pytest.mark.full
def test_a_run_that_is_killed_twice_ends_as_if_it_had_not_been(tmp_path):
    killed_and_finished(tmp_path, 2, steps=1000, every=20, seconds=0.5)


@pytest.mark.long
def test_fifty_kills_lose_no_more_than_the_interval(tmp_path, capsys):
    lost = killed_and_finished(tmp_path, 50, steps=20_000, every=20, seconds=2.0)
    with capsys.disabled():
        mean = sum(lost) / len(lost)
        print(f"{len(lost)} kills lost {mean:.1f} steps in the mean, {max(lost)} at most")
    assert len(lost) == 50


@pytest.mark.full
def test_a_run_that_is_asked_to_end_saves_says_how_to_go_on_and_does(tmp_path):
    (tmp_path / "c.toml").write_text(CONFIG.format(steps=600, every=500))
    process = begun(tmp_path)
    while not reports(tmp_path):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    assert process.returncode == 143
    assert "go on with --resume" in json.loads(out)["stopped"]
    step = newest(tmp_path)
    assert 0 < step == json.loads(out)["step"] < 600
    assert finished(tmp_path)["step"] == 600


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.1, 0.3, 1, 2, 3, 4, 5, 7, 9])
def test_ctrl_c_in_the_first_seconds_is_one_line_and_leaves_a_whole_run_or_none(tmp_path, seconds):
    (tmp_path / "c.toml").write_text(CONFIG.format(steps=100_000, every=50_000))
    (tmp_path / "jlstm").write_text(STARTED)
    command = [sys.executable, "jlstm", *COMMAND[3:]]
    process = begun(tmp_path, command)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err in ("", "jlstm: stopped\n")  # with --json, a run that saved says so in JSON
    assert (newest(tmp_path) > 0) == (tmp_path / "run").exists() == (not err)


# As the script of the command, with Ctrl-C also where tests run in the background.
STARTED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from jlstm.__main__ import main
main()
"""
