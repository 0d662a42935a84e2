"""The kit that measures this library on a GPU, rehearsed on a CPU."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
KIT = ROOT / "benchmarks" / "gpu"
# What a machine with a GPU need not have.
HIDDEN = ("tyro", "sklearn", "h5py", "onnx", "onnxruntime", "tensorflow", "keras", "matplotlib")
BARE = f"""
import importlib.metadata, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HIDDEN!r}:
            raise ModuleNotFoundError(name)

found = importlib.metadata.distribution

def distribution(name):
    if name == "jlstm":  # with it, its compiled library
        raise importlib.metadata.PackageNotFoundError(name)
    return found(name)

sys.meta_path.insert(0, Refuse())
importlib.metadata.distribution = distribution
"""


@pytest.fixture
def kit(monkeypatch):
    """The kit's modules, which import each other by their own names."""
    monkeypatch.syspath_prepend(KIT)
    import launches
    import measure
    import stage
    import summary

    yield SimpleNamespace(launches=launches, measure=measure, stage=stage, summary=summary)
    for name in ("launches", "measure", "stage", "summary"):
        sys.modules.pop(name)


@pytest.fixture
def stages(kit, monkeypatch, tmp_path):
    """Runs groups of made-up stages, each a name with its script and limit."""
    monkeypatch.setattr(kit.measure, "HERE", tmp_path)

    def run(*groups, minutes="1"):
        made = []
        for group in groups:
            made.append(tuple(kit.measure.Stage(n, (f"{n}.py",), s) for n, (_, s) in group.items()))
            for name, (script, _) in group.items():
                (tmp_path / f"{name}.py").write_text("import sys, time, pathlib\n" + script)
        monkeypatch.setattr(kit.measure, "stages", lambda: made)
        out = tmp_path / "out"
        code = kit.measure.main(["--out", str(out), "--minutes", minutes])
        found = kit.stage.read(out / "stages.jsonl")
        return code, {line["stage"]: line["ended"] for line in found}, out

    return run


@pytest.mark.full
def test_a_stage_that_hangs_or_crashes_costs_only_itself(stages):
    begun = time.monotonic()
    code, ended, out = stages(
        {"hangs": ("print('begun', flush=True); time.sleep(60)", 2.0)},
        {"crashes": ("import os; os.abort()", 30.0), "raises": ("raise ValueError('no')", 30.0)},
        {"works": ("print('done')", 30.0)},
    )
    assert code == 1 and time.monotonic() - begun < 40
    assert ended["hangs"].startswith("stopped after 2 s")
    assert ended["crashes"].startswith("failed with exit code -6")
    assert ended["raises"].startswith("failed with exit code 1")
    assert ended["works"].startswith("finished")
    log = (out / "log.txt").read_text()
    assert "begun" in log and "ValueError: no" in log and "done" in log
    assert "| hangs | stopped" in (out / "summary.md").read_text()


@pytest.mark.full
def test_a_stopped_stage_takes_its_own_processes_with_it(stages, tmp_path):
    child = "import subprocess; p = subprocess.Popen([sys.executable, '-c', 'import time; "
    child += "time.sleep(60)']); pathlib.Path(sys.argv[2], 'child').write_text(str(p.pid)); "
    _, _, out = stages({"parent": (child + "time.sleep(60)", 3.0)})
    pid = int((out / "child").read_text())
    deadline = time.monotonic() + 10
    while pathlib.Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        if state == "Z":  # dead, and waiting for a parent that is dead too
            break
        time.sleep(0.1)
    else:
        assert not pathlib.Path(f"/proc/{pid}").exists()


def test_no_stage_begins_once_the_time_is_used_up(stages):
    code, ended, _ = stages({"late": ("print('done')", 30.0)}, minutes="0.01")
    assert code == 1
    assert ended == {"late": "not started: no time was left"}


def test_earlier_results_are_not_mixed_with_new_ones(stages, capsys):
    stages({"works": ("", 30.0)})
    with pytest.raises(SystemExit):
        stages({"works": ("", 30.0)})
    assert "has results already; choose another folder with --out" in capsys.readouterr().err


def test_a_stage_that_is_not_there_is_refused_with_those_that_are(kit, tmp_path, capsys):
    with pytest.raises(SystemExit):
        kit.measure.main(["--out", str(tmp_path), "--only", "timing of layer"])
    assert "the stages are inventory, timings of layers, launches" in capsys.readouterr().err


def test_flags_of_a_stage_join_those_that_are_set(kit):
    found = kit.measure.environment(
        {"XLA_FLAGS": "--a=1", "PYTHONPATH": "x"}, "--b=2", rehearse=True
    )
    assert found["XLA_FLAGS"] == "--a=1 --b=2"
    assert found["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "x"]
    assert found["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false" and found["JAX_PLATFORMS"] == "cpu"


def plane(name, **streams):
    """A plane of a profile: names of the events of each line; each takes 2 ms."""
    lines = []
    for line, names in streams.items():
        events = [SimpleNamespace(name=n, duration_ns=2e6) for n in names]
        lines.append(SimpleNamespace(name=line.replace("_", " "), events=events))
    return SimpleNamespace(name=name, lines=lines)


def test_operations_of_a_profile_are_counted_once(kit):
    """A GPU's plane lists its operations again by module and by source."""
    found = kit.launches.count_events(
        [
            plane("/device:GPU:0", Stream_13=["gemm", "fusion", "gemm"], XLA_Ops=["gemm"]),
            plane("/host:CUPTI", calls=["cuLaunchKernel", "cuLaunchKernelEx", "cuCtxGetCurrent"]),
            plane("/host:CPU", python=["PjitFunction", "cuGraphLaunch"]),
        ]
    )
    assert found["on the device"] == {"gemm": [2, 4.0], "fusion": [1, 2.0]}
    host = {"cuLaunchKernel": [1, 2.0], "cuLaunchKernelEx": [1, 2.0], "cuGraphLaunch": [1, 2.0]}
    assert found["by the host"] == host


def test_a_summary_that_cannot_be_written_stops_no_stage(stages, kit, monkeypatch):
    def broken(out):
        raise KeyError("median_s")

    monkeypatch.setattr(kit.summary, "write", broken)
    code, ended, out = stages({"first": ("", 30.0)}, {"second": ("", 30.0)})
    assert code == 0 and set(ended) == {"first", "second"}
    assert "KeyError: 'median_s'" in (out / "summary.md").read_text()


@pytest.mark.full
def test_stages_at_the_same_time_are_timed_apart(stages):
    _, ended, _ = stages({"slow": ("time.sleep(3)", 30.0), "fast": ("", 30.0)})
    seconds = {name: int(text.split()[-2]) for name, text in ended.items()}
    assert seconds["fast"] < seconds["slow"]


def test_what_is_broken_off_ends_its_stages(tmp_path):
    """On Ctrl-C, and when a machine asks a command to end."""
    out = tmp_path / "out"
    words = [sys.executable, KIT / "measure.py", "--out", out, "--rehearse", "--only", "inventory"]
    process = subprocess.Popen(words, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (out / "inventory.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.terminate()
    assert process.wait(30) == 143
    assert "===== inventory: broken off" in (out / "log.txt").read_text()
    left = subprocess.run(["pgrep", "-f", f"inventory.py --out {out}"], capture_output=True)
    assert left.stdout == b""


def test_the_summary_says_what_failed_and_why(kit, tmp_path):
    def write(name, *records):
        (tmp_path / name).write_text("".join(json.dumps(r) + "\n" for r in records))

    contract = {"contract": "5: masks", "seconds": 1.0}
    write(
        "contracts.jsonl",
        {**contract, "implementation": "scan", "held": True, "text": "0e+00", "details": ""},
        {
            **contract,
            "implementation": "cudnn",
            "held": True,
            "text": "refused",
            "details": "no masks",
        },
        {
            **contract,
            "implementation": "auto",
            "held": False,
            "text": "FAILED: x",
            "details": "line 1",
        },
    )
    case = {"case": "a|b", "mode": "forward", "time_steps": 3, "batch_size": 2, "input_size": 4}
    case |= {"hidden_sizes": [5, 6], "dtype": "float32"}
    write(
        "records.jsonl",
        {**case, "contender": "jlstm auto", "median_s": 0.00123, "interval_s": [0.001, 0.002]},
        {**case, "contender": "torch", "left_out": "it does not support resets"},
    )
    launched = {"program": "scan", "mode": "training", "flags": "", "steps": 4}
    on_device = {"gemm": [8, 1.5], "fusion": [2, 0.25]}
    write(
        "launches.jsonl",
        {**launched, "milliseconds": 2.0},
        {**launched, "operations": {"on the device": on_device, "by the host": {}}},
        {**launched, "program": "cudnn", "error": "RuntimeError: none"},
    )
    text = kit.summary.write(tmp_path)
    assert "| 5: masks | 0e+00 | refused | FAILED: x |" in text
    assert "- cudnn refused: no masks" in text and "```\nline 1\n```" in text
    assert "| a\\|b, forward | 1.23 (1 to 2) | - |" in text
    assert "- torch: it does not support resets (a|b, forward)" in text
    assert "| scan, training | default | 2 | 2.50 | 1.75 | not reported |" in text
    assert "- scan, training: gemm 8 times 1.5 ms, fusion 2 times 0.25 ms" in text
    assert "- cudnn, training: RuntimeError: none" in text


@pytest.mark.long
def test_every_stage_is_rehearsed_from_tracked_files_without_tyro_or_a_compiler(tmp_path):
    copy, out = tmp_path / "copy", tmp_path / "out"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, tracked.split("\0")):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "sitecustomize.py").write_text(BARE)
    done = subprocess.run(
        [
            sys.executable,
            "benchmarks/gpu/measure.py",
            "--out",
            out,
            "--rehearse",
            "--minutes",
            "30",
        ],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(bare), "PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
    )
    log = (out / "log.txt").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + log
    # What comes back from a machine is at most this many files.
    assert len(list(out.iterdir())) <= 8
    from jlstm.bench import records

    timed = records.read(out / "records.jsonl")
    assert {r["contender"] for r in timed if "median_s" in r} >= {
        "jlstm auto", "jlstm scan", "flax linen", "torch float32", "torch TF32",
        "torch bfloat16", "torch float16",
    }  # fmt: skip
    assert not [r["left_out"] for r in timed if "agree" in r.get("left_out", "")]
    inventory = json.loads((out / "inventory.json").read_text())
    plain = {name: usable for name, usable, _ in inventory["implementations"]["plain, float32"]}
    assert plain == {"cpu": False, "tpu": False, "cudnn": False, "scan": True}
    contracts = [json.loads(s) for s in (out / "contracts.jsonl").read_text().splitlines()]
    assert len(contracts) == 3 * len({c["contract"] for c in contracts})
    assert all(c["held"] for c in contracts)
    assert "could not be written" not in (out / "summary.md").read_text()
    launches = [json.loads(s) for s in (out / "launches.jsonl").read_text().splitlines()]
    assert sum("milliseconds" in r for r in launches) == 12  # two runs of three programs, two modes
    memory = [json.loads(s) for s in (out / "memory.jsonl").read_text().splitlines()]
    assert sum(bool(r.get("peak_bytes")) for r in memory) >= 3
