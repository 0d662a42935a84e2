"""The options of `jlstm bench`, and what `jlstm check` does if a call cannot be timed."""

import json

import pytest

from jlstm.bench import compiled, targets
from jlstm.check import command as check
from jlstm.check.timing import Size
from jlstm.kernels import choice
from tests.command_line.tables import NETWORK


def test_check_goes_on_when_a_call_cannot_be_timed(jlstm_at, monkeypatch):
    """One that breaks at a size, one that refuses it, and the scan, which is timed all the same."""

    def only_small(name, error):
        def run(layer, *args, **options):
            if layer.hidden_size > 4:
                raise error
            return choice.scan.run(layer, *args, **options)

        return choice.Implementation(name, run, lambda *_: None)

    brittle = only_small("brittle", RuntimeError("no [room]"))
    shy = only_small("shy", choice.RefusedError("too large"))
    monkeypatch.setattr(choice, "IMPLEMENTATIONS", (brittle, shy, choice.IMPLEMENTATIONS[-1]))
    monkeypatch.setattr(check, "SIZES", (Size(3, 2, 8), Size(3, 2, 4)))
    monkeypatch.setattr(check, "CONTRACTS", ())
    code, out, _ = jlstm_at("check")
    assert code == 1 and "All contracts hold." in out and "could NOT be timed" in out
    assert out.count("3, 2, 8, training, brittle failed: RuntimeError: no [room]") == 1
    rows = [line.strip("│").split("│") for line in out.splitlines() if line.startswith("│ 3, 2")]
    cells = [[cell.strip() for cell in row[2:]] for row in rows]
    assert [row[:2] for row in cells[:2]] == [["failed", "refused"]] * 2
    assert all(float(cell) for cell in (cells[0][2], cells[1][2], *cells[2], *cells[3]))
    monkeypatch.setattr(check, "SIZES", (Size(3, 2, 4),))
    assert jlstm_at("check")[0] == 0


@pytest.mark.full
def test_bench_measures_a_config_and_writes_records(jlstm_at, tmp_path):
    (tmp_path / "mine.toml").write_text(NETWORK + "[bench]\ntime_steps = 3\nbatch_size = 2\n")
    words = ["mine.toml", "--seconds", "0", "--out", "r.jsonl", "--only", "flax nnx"]
    code, out, _ = jlstm_at("bench", *words)
    assert code == 0
    assert "flax nnx" in out and "T 3, B 2" in out
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * 2
    assert {line["case"] for line in lines} == {"mine"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--out", "r.jsonl"], "--out"),
        (["--compare", "r.jsonl"], "--compare"),
        (["--seconds", "1"], "--seconds"),
        (["--threads", "2", "--only", "flax nnx"], "--threads, --only"),
    ],
)
def test_what_compiling_alone_would_ignore_is_refused(jlstm_at, options, named):
    code, out, err = jlstm_at("bench", "--compile-only", *options)
    assert code == 2 and not out and err.count("\n") == 1
    assert f"runs nothing, so {named} would have no effect" in err


def test_a_target_without_compile_only_is_refused(jlstm_at):
    code, out, err = jlstm_at("bench", "--target", "v5e")
    assert code == 2 and not out and err.count("\n") == 1
    assert "--target is 'v5e', but only --compile-only compiles for a named chip" in err


@pytest.mark.parametrize("target", ["v5e:", "v5e:4x4x4x4", "v5e:1x3", "h200", "h100:1x1"])
def test_a_target_that_cannot_be_is_one_line(jlstm_at, target):
    code, out, err = jlstm_at("bench", "--compile-only", "--target", target)
    assert code == 2 and not out and err.count("\n") == 1 and target in err


def test_programs_that_do_not_compile_are_exit_code_1(jlstm_at, tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text(NETWORK)
    monkeypatch.setattr(targets, "missing", lambda target: None)
    monkeypatch.setattr(compiled, "compile_one", lambda *_, **options: {"error": "no room"})
    code, out, _ = jlstm_at("bench", "mine.toml", "--compile-only")
    assert code == 1 and "v5e: compiled, not run" in out and out.count("no room") == 1
    code, out, err = jlstm_at("bench", "mine.toml", "--compile-only", "--json")
    assert code == 1 and err.count("no room") == 1
    found = json.loads(out)
    assert found["target"] == "v5e" and [p["error"] for p in found["programs"]] == ["no room"] * 4


def test_records_that_cannot_be_written_are_refused_before_measuring(jlstm_at, tmp_path):
    code, _, err = jlstm_at("bench", "--out", "no/such/folder/r.jsonl")
    assert code == 2 and "cannot write records" in err
    code, _, err = jlstm_at("bench", "--seconds", "-1", "--out", "r.jsonl")
    assert code == 2 and "--seconds is -1" in err
    assert not list(tmp_path.iterdir())
