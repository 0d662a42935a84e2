"""The benchmark: who is timed, and what is written down. No time is asserted."""

import dataclasses
import functools
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from jlstm import Config, Layer, cell
from jlstm.bench import agreement, command, compare, problem, records, tables, worker
from jlstm.bench.cases import Case, Shape
from jlstm.bench.contenders import CONTENDERS
from jlstm.bench.peers import jax_program
from jlstm.config import DTYPES
from jlstm.files import config_toml
from tests.examples import mostly_full
from tests.planted import OURS, planted

ROOT = pathlib.Path(__file__).parents[2]
CASE = Case("small", Config.stack(3, [4, 5]), Shape(6, 2))
CEILINGS = {"product_gflops_per_s": 100.0, "copy_gbytes_per_s": 10.0}
# Two rounds, as no time is asserted.
PACE = compare.Pace(0.0, fewest_rounds=2, pause_s=0.0)
SKIPPED = {"torch on cuda", "cudnn from jax", "jlstm tpu", "jlstm cudnn"}


def measured(case, contenders):
    """(outcomes by mode, why contenders do not take part)."""
    workers, missing = compare.started(contenders, 1)
    try:
        found = compare.compare(case, workers, 1, PACE, lambda *_: None)
        return {outcome.mode: outcome for outcome in found}, missing
    finally:
        for each in workers.values():
            each.stop()


TRAINING = Shape(6, 2, modes=("training",))
FORWARD = Case("forward", CASE.config, Shape(6, 2, modes=("forward",)))
# The networks that contenders are asked for: which of them have an equal.
SHAPES = {
    "stack": CASE,
    "lengths both ways": Case(
        "b", Config(3, (Layer(4, bidirectional=True), Layer(4))), Shape(6, 3, shortest=0.3)
    ),
    "resets": Case("c", Config.stack(3, [4]), Shape(8, 3, resets=0.3, modes=("training",))),
    "resets both ways": Case(
        "f",
        Config(3, (Layer(4, bidirectional=True),)),
        Shape(8, 3, resets=0.3, modes=("forward",)),
    ),
    "steps": Case("d", Config.stack(3, [4, 5]), Shape(6, 2, modes=("step",))),
    "bfloat16": Case("e", dataclasses.replace(Config.stack(3, [4]), dtype="bfloat16"), TRAINING),
    "float64": Case("g", dataclasses.replace(Config.stack(3, [4]), dtype="float64"), TRAINING),
}
OWN = ("jlstm cpu", "jlstm scan")
LACKING = {
    "stack": set(),
    "lengths both ways": {"haiku", "equinox"},
    "resets": {c.name for c in CONTENDERS} - {*OWN, "scan by hand", "haiku"},
    "resets both ways": {c.name for c in CONTENDERS} - {*OWN, "scan by hand"},
    "steps": {"jlstm scan", "keras on jax", "keras on tf"},
    "bfloat16": {"haiku", "keras on jax", "keras on tf", "onnxruntime"},
    "float64": {"jlstm cpu", "keras on jax", "keras on tf", "onnxruntime"},
}


@pytest.fixture(scope="module")
def everyone():
    """All contenders on a shape by its name, each compared once: mode -> Outcome."""
    workers, missing = compare.started(CONTENDERS, 2)

    @functools.cache
    def on(shape):
        found = compare.compare(SHAPES[shape], workers, 2, PACE, lambda *_: None)
        return {outcome.mode: outcome for outcome in found}

    try:
        yield on, missing
    finally:
        for each in workers.values():
            each.stop()


@pytest.mark.full
def test_all_contenders_take_part_but_those_that_need_an_accelerator(everyone):
    assert set(everyone[1]) == SKIPPED
    wanted = ("needs an NVIDIA GPU", "needs a TPU")
    assert all(reason.startswith(wanted) for reason in everyone[1].values())


@pytest.mark.full
@pytest.mark.parametrize("shape", SHAPES)
def test_contenders_agree_or_say_what_they_lack(everyone, shape):
    for mode, outcome in everyone[0](shape).items():
        lacking = set(LACKING[shape])
        if mode == "training":
            lacking |= {"onnxruntime"}
        assert set(outcome.left_out) == lacking - SKIPPED, outcome.left_out
        assert not any("Error" in reason for reason in outcome.left_out.values())
        assert not any("agree" in reason for reason in outcome.left_out.values())
        assert len(outcome.timings) + len(outcome.left_out) == len(CONTENDERS) - len(SKIPPED)
        assert {len(t.rounds_s) for t in outcome.timings.values()} == {PACE.fewest_rounds}


def test_cudnn_weights_are_laid_out_as_jax_unpacks_them():
    from jax.experimental import rnn

    from jlstm.bench.peers import cudnn

    case = Case("d", Config.stack(3, [4, 4], bidirectional=True), Shape(2, 1))
    layers = problem.make(case, 1).layers
    w_x, w_h, b, zero = rnn.unpack_lstm_weights(cudnn.flat(layers), 3, 4, 2, True)
    for n, layer in enumerate(layers):
        for d in range(2):
            np.testing.assert_array_equal(w_x[2 * n + d].T, layer.w_x[d])
            np.testing.assert_array_equal(w_h[2 * n + d].T, layer.w_h[d])
            np.testing.assert_array_equal(b[2 * n + d], layer.b[d])
            assert not zero[2 * n + d].any()


FAULTS = {
    "wrong": f"does not agree with {OURS.name}: its outputs differ by",
    "detached": "its gradients for the input differ by",
    "not a number": "not all finite",
    "short": "its outputs have shape [5, 2, 5], not [6, 2, 5]",
    "lacking": "it has no layers of 4 units",
    "raising": "RuntimeError: out of luck",
    "crashing": "its process ended with exit code 7",
    "crashing later": "its process ended with exit code 8",
}
# Each needs a separate process, which takes seconds to start.
FEW_FAULTS = ("wrong", "detached", "raising", "crashing later")


@pytest.fixture(scope="module")
def faulty():
    few = (planted(fault) for fault in FEW_FAULTS)
    return measured(CASE, [OURS, *few, planted("slow"), planted("missing")])


@pytest.fixture(scope="module")
def in_training(faulty):
    """A contender's outcome, of the few and of the others."""

    @functools.cache
    def others():
        rest = (planted(fault) for fault in FAULTS if fault not in FEW_FAULTS)
        return measured(CASE, [OURS, *rest])[0]["training"]

    return lambda fault: faulty[0]["training"] if fault in FEW_FAULTS else others()


@pytest.mark.full
@pytest.mark.parametrize("fault", mostly_full(list(FAULTS), FEW_FAULTS))
def test_faults_are_caught_and_not_timed(in_training, fault):
    outcome = in_training(fault)
    assert fault not in outcome.timings
    assert FAULTS[fault] in outcome.left_out[fault]


def test_what_is_missing_says_what_to_install(faulty):
    assert faulty[1] == {"missing": "needs: pip install planted"}


def test_a_slow_contender_is_seen_to_be_slow_by_at_least_what_it_sleeps(faulty):
    timings = faulty[0]["forward"].timings
    assert {OURS.name, "slow"} <= set(timings)
    assert min(timings["slow"].rounds_s) > 0.01


def test_nothing_is_timed_if_the_first_contender_gives_no_numbers():
    outcomes, _ = measured(FORWARD, [planted("not a number"), OURS])
    outcome = outcomes["forward"]
    assert not outcome.timings
    assert "not all finite" in outcome.left_out["not a number"]
    assert "nothing to compare it with" in outcome.left_out[OURS.name]


@pytest.mark.full
def test_compiling_is_a_mode_of_its_own():
    case = Case("small", CASE.config, Shape(6, 2, modes=("compile",)))
    outcomes, _ = measured(case, [OURS, *(c for c in CONTENDERS if c.name == "torch")])
    assert list(outcomes["compile"].timings) == [OURS.name]
    assert outcomes["compile"].left_out == {"torch": "compiling is timed for JAX only"}


def test_lowering_is_timed_without_what_was_traced_before(monkeypatch):
    lowered = []
    advance = cell.advance
    monkeypatch.setattr(cell, "advance", lambda *args: lowered.append(1) or advance(*args))
    from jlstm.bench.peers import ours

    counts = []
    for _ in range(2):
        ours.prepare(problem.make(CASE, 1), "forward", "scan")
        counts.append(len(lowered))
    assert counts[0] > 0 and counts[1] == 2 * counts[0]
    assert min(jax_program.compile_uncached(lambda x: x + 1, np.ones(3))[1:]) > 0


def test_inputs_and_weights_hold_no_denormals_and_are_the_same_in_every_process():
    made, again = (problem.make(CASE, 1) for _ in range(2))
    for a, b in zip(jax_leaves(made), jax_leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.all((a == 0) | (np.abs(a) >= np.finfo("float32").tiny))


def jax_leaves(made):
    return [made.xs, *(a for layer in made.layers for a in layer)]


def test_processors_are_pinned_and_given_back():
    before = os.sched_getaffinity(0)
    with worker.pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ValueError, match="--threads is 9999"), worker.pinned(9999):
        pass


@pytest.fixture(scope="module")
def run(faulty):
    """What all records of a run share, and the lines of one."""
    shared = records.of_run("jlstm bench", 1, CEILINGS)
    return [line for o in faulty[0].values() for line in records.of_case(shared, CASE, o)]


@pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.gz"])
def test_records_hold_what_it_takes_to_do_it_again(run, tmp_path, name):
    path = tmp_path / name
    for _ in range(2):
        with records.appending(path) as write:
            write(run)
    lines = records.read(path)
    assert lines == run + run
    for line in lines:
        assert config_toml.loads(line["config"]) == CASE.config
        assert Shape(**line["shape"]) == CASE.shape
        assert (line["command"], line["threads"]) == ("jlstm bench", 1)
        assert {"jax", "torch", "onnxruntime"} <= line["versions"].keys()
        if "left_out" not in line:
            assert len(line["rounds_s"]) == PACE.fewest_rounds
            assert {"lower_s", "compile_s", "first_call_s", "memory_bytes"} <= line.keys()
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


def assert_table_fits(case, outcome, width):
    console = Console(width=width, record=True, file=io.StringIO())
    tables.show(console, case, outcome, CEILINGS)
    text = console.export_text()
    assert all(name in text for name in outcome.timings)
    assert "ratio" in text and "…" not in text


def test_a_wide_interval_is_marked(faulty):
    outcome = faulty[0]["forward"]
    name = next(iter(outcome.timings))
    quiet, busy = ([1.0] * 5, [1.0, 1.0, 2.0, 3.0, 3.0])
    for rounds, mark in ((quiet, " 0 "), (busy, "50! ")):
        timing = outcome.timings[name]._replace(rounds_s=rounds)
        console = Console(width=80, record=True, file=io.StringIO())
        tables.show(console, CASE, outcome._replace(timings={name: timing}), CEILINGS)
        assert mark in console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_the_terminal(faulty, width):
    for outcome in faulty[0].values():
        assert_table_fits(CASE, outcome, width)


@pytest.mark.full
@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("shape", ["stack", "steps"])
def test_tables_of_all_contenders_fit_the_terminal(everyone, shape, width):
    for outcome in everyone[0](shape).values():
        assert_table_fits(SHAPES[shape], outcome, width)


def test_an_unknown_contender_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="torch"):
        command.run(None, only=["torhc"])


def test_rounding_is_allowed_for_by_dtype():
    assert agreement.TOLERANCE.keys() >= set(DTYPES)


@pytest.mark.full
def test_two_contenders_agree_within_the_coarser_of_their_formats():
    """TensorFloat-32 is wrong by more than float32 is allowed, beside a contender that has none."""
    exact, rounded = planted("rounded", rounding=""), planted("rounded", rounding="tfloat32")
    outcomes, _ = measured(CASE, [OURS, exact._replace(name="exact"), rounded])
    for outcome in outcomes.values():
        assert "is allowed in float32" in outcome.left_out["exact"]
        assert "rounded" in outcome.timings


@pytest.mark.full
def test_a_contender_that_gives_no_answer_is_ended_and_the_others_go_on():
    workers, _ = compare.started([OURS], 1)
    workers |= compare.started([planted("hanging")], 1, limit_s=20.0)[0]
    try:
        (outcome,) = compare.compare(FORWARD, workers, 1, PACE, lambda *_: None)
        assert outcome.left_out == {"hanging": "it did not answer within 20 s, and was killed"}
        assert not workers["hanging"].alive
        assert OURS.name in outcome.timings
    finally:
        for each in workers.values():
            each.stop()


def test_the_command_prints_tables_and_appends_records(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "_ceilings", lambda threads: CEILINGS)
    suite, out = tmp_path / "suite.toml", tmp_path / "records.jsonl"
    suite.write_text(
        "[[case]]\nname = 'small'\ninput_size = 3\nhidden_sizes = [4, 5]\ntime_steps = 6\n"
        "batch_size = 2\nmodes = ['forward']\n"
    )
    with records.appending(out) as write:
        write(run)
    contenders = [OURS, planted("wrong"), planted("missing")]
    command.run(suite, out=out, seconds=0.0, threads=1, contenders=contenders, old=out)
    text = capsys.readouterr().out
    assert "not timed: wrong (does not agree" in text
    assert "missing does not take part: needs: pip install planted" in text
    assert "of 1 cases and modes" in text and "of 1 measurements are within noise" in text
    lines = records.read(out)
    assert lines[:-2] == run
    assert [line["contender"] for line in lines[-2:]] == [OURS.name, "wrong"]


def test_as_json_it_prints_the_records_with_ratios(faulty, tmp_path, capsys, monkeypatch):
    outcomes = faulty[0]
    monkeypatch.setattr(command, "_ceilings", lambda threads: CEILINGS)
    monkeypatch.setattr(command, "started", lambda *_: ({}, {"gone": "needs: pip install gone"}))
    monkeypatch.setattr(command, "compare", lambda *_: list(outcomes.values()))
    suite, out = tmp_path / "suite.toml", tmp_path / "records.jsonl"
    suite.write_text(
        "[[case]]\nname = 'small'\ninput_size = 3\nhidden_sizes = [4, 5]\ntime_steps = 6\n"
        "batch_size = 2\n"
    )
    command.run(suite, out=out, seconds=0.0, threads=1, as_json=True)
    command.run(suite, seconds=0.0, threads=1, as_json=True, old=out)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first.keys() == {"records", "did_not_take_part"}
    assert first["did_not_take_part"] == {"gone": "needs: pip install gone"}
    ratios = [record.pop("ratio", None) for record in first["records"]]
    assert first["records"] == records.read(out)
    for record, of_record in zip(first["records"], ratios, strict=True):
        assert (of_record is None) == ("left_out" in record)
        if record["contender"] == OURS.name:
            assert of_record == {"median": 1.0, "low": 1.0, "high": 1.0}
    slow = [
        r for r, one in zip(ratios, first["records"], strict=True) if one["contender"] == "slow"
    ]
    assert slow[0]["median"] > 1
    assert {change["verdict"] for change in second["changes"]} == {"within noise"}


def test_contenders_never_see_ctrl_c():
    """Not even while their processes import: it would print a traceback."""
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with worker._without_ctrl_c():
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.stdout == "True\n"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
