"""The measurement of training throughput."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
KIT = ROOT / "benchmarks" / "training"


@pytest.fixture
def kit(monkeypatch):
    """A function that imports one of the scripts, which import each other by their own names."""
    monkeypatch.syspath_prepend(str(KIT))
    names = [path.stem for path in KIT.glob("*.py")]
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


def test_ratios_are_of_medians(kit):
    records = [
        {"case": "a", "framework": name, "per_second": speeds}
        for name, speeds in (("jlstm", [1.0, 3000.0, 9000.0]), ("torch", [9.0, 1000.0, 2000.0]))
    ]
    last = kit("measure").table(records, ("jlstm", "torch")).splitlines()[-1]
    assert last == "| a | 3,000 | 1,000 | 3.00 |"


@pytest.mark.parametrize("n", range(6))
def test_a_case_has_the_data_that_its_task_reads(kit, n):
    cases = kit("cases")
    case = cases.CASES[n]
    if case.name.startswith("vowels") and importlib.util.find_spec("aeon") is None:
        pytest.skip("needs aeon")
    xs, targets, lengths = cases.arrays(case)
    assert targets is None or len(targets) == len(xs)
    if case.tokens:
        assert xs.max() < case.outputs and len(xs) == case.batch_size * case.unroll * case.steps + 1
    elif case.kind == "classify":
        assert targets.max() + 1 == case.outputs
    assert (lengths is not None) == case.name.startswith("vowels")


@pytest.mark.long
@pytest.mark.parametrize("case", ["vowels", "text, T 64, 256"])
def test_every_framework_learns(case, tmp_path):
    records = tmp_path / "records.jsonl"
    command = [sys.executable, str(KIT / "measure.py"), "--rounds", "1", "--out", str(records)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*command, "--only", case], env=environment, check=True)
    made = [json.loads(line) for line in records.read_text().splitlines()]
    assert [record["framework"] for record in made] == ["jlstm", "torch", "keras"]
    losses = [record["loss"] for record in made]
    assert max(losses) < min(losses) + 0.5  # in nats; the initial parameters differ
