"""The benchmark: who is timed, and what is written down. No time is asserted."""

import dataclasses
import io
import json
import types

import jax
import jax.numpy as jnp
import pytest
from rich.console import Console

import jlstm
from jlstm import Config, Layer, cell, config_toml
from jlstm.bench import agreement, cases, records, tables, timing
from jlstm.bench.compare import CONTENDERS, MODES, compare
from jlstm.bench.peers import UnsupportedError, ours
from jlstm.config import DTYPES

CASE = cases.Case("small", Config.stack(3, [4, 5]), cases.Shape(6, 2))


def nothing(done, share):
    pass


def swapped(config, params):
    """This library with two gates in the wrong order."""

    def wrong(a):
        i, f, g, o = jnp.split(a, 4, -1)
        return jnp.concatenate([f, i, g, o], -1)

    return ours.forward(config, jax.tree.map(wrong, params))


def lacking(config, params):
    raise UnsupportedError("it has no layers of 4 units")


def not_a_number(config, params):
    weights, forward = ours.forward(config, params)
    return weights, lambda weights, xs: forward(weights, xs) * jnp.nan


def peers(**functions):
    modules = {name: types.SimpleNamespace(forward=f) for name, f in functions.items()}
    return {"jlstm": ours, **modules}


@pytest.fixture(scope="module")
def outcome():
    return compare(CASE, 0.0, nothing)


def test_every_contender_agrees_and_is_timed_in_both_modes(outcome):
    assert not outcome.left_out
    assert set(outcome.timings) == {(name, mode) for name in CONTENDERS for mode in MODES}


@pytest.mark.parametrize(
    ("dtype", "options"),
    [("bfloat16", {}), ("float32", {"bidirectional": True}), ("float32", {"bias": False})],
)
def test_contenders_without_an_equal_network_are_left_out_with_a_reason(dtype, options):
    config = dataclasses.replace(Config(3, (Layer(4, **options),)), dtype=dtype)
    seen = compare(cases.Case("special", config, CASE.shape), 0.0, nothing)
    assert ("jlstm", "training") in seen.timings
    for name in CONTENDERS:
        assert ((name, "forward") in seen.timings) != (name in seen.left_out)
    assert all(seen.left_out.values())


def test_a_wrong_contender_is_caught_and_not_timed():
    seen = compare(CASE, 0.0, nothing, peers(swapped=swapped, lacking=lacking))
    assert {name for name, _ in seen.timings} == {"jlstm"}
    assert "its outputs differ by" in seen.left_out["swapped"]
    assert seen.left_out["lacking"] == "it has no layers of 4 units"


def test_gradients_have_to_agree_too():
    def detached(config, params):
        weights, forward = ours.forward(config, params)
        return weights, lambda weights, xs: forward(jax.lax.stop_gradient(weights), xs)

    seen = compare(CASE, 0.0, nothing, peers(detached=detached))
    assert "gradients for layers.0.w_x differ" in seen.left_out["detached"]


def test_values_that_are_no_numbers_are_caught_in_the_first_contender_too():
    first = {"jlstm": types.SimpleNamespace(forward=not_a_number), "other": ours}
    seen = compare(CASE, 0.0, nothing, first)
    assert not seen.timings
    assert "not all finite" in seen.left_out["jlstm"]


def test_lowering_is_timed_without_what_was_traced_before(monkeypatch):
    lowered = []
    advance = cell.advance
    monkeypatch.setattr(cell, "advance", lambda *args: lowered.append(1) or advance(*args))
    params = jlstm.init(jax.random.key(0), CASE.config)
    weights, forward = ours.forward(CASE.config, params)
    xs = jnp.ones((6, 2, 3))
    counts = []
    for _ in range(2):
        timing.measure({"jlstm": (forward, (weights, xs))}, 0.0, nothing)
        counts.append(len(lowered))
    assert counts[0] > 0 and counts[1] == 2 * counts[0]


def test_every_contender_is_run_in_every_round(outcome):
    assert {len(t.rounds_s) for t in outcome.timings.values()} == {5}
    assert all(t.memory_bytes > 0 for t in outcome.timings.values())


def test_operations_are_those_of_both_products():
    # 2 operations a weight, 4 gates: (3+4)*16 + (4+5)*20 weights, 6 steps, 2 sequences.
    assert CASE.flops("forward") == 2 * ((3 + 4) * 16 + (4 + 5) * 20) * 6 * 2
    assert CASE.flops("training") == 3 * CASE.flops("forward")


def test_records_hold_what_it_takes_to_do_it_again(outcome, tmp_path):
    path = tmp_path / "records.jsonl"
    for _ in range(2):
        with records.appending(path) as write:
            write(CASE, outcome)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 2 * len(outcome.timings)
    for line in lines:
        assert config_toml.loads(line["config"]) == CASE.config
        assert (line["time_steps"], line["batch_size"], line["dtype"]) == (6, 2, "float32")
        assert line["versions"]["jax"] == jax.__version__
        assert line["device"].startswith(jax.default_backend())
        assert len(line["rounds_s"]) == 5
        assert {"lower_s", "compile_s", "first_call_s", "memory_bytes"} <= set(line)


def test_a_run_that_fails_leaves_no_empty_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), records.appending(tmp_path / "records.jsonl"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_the_terminal(outcome, width):
    console = Console(width=width, record=True, file=io.StringIO())
    tables.show(console, CASE, outcome)
    text = console.export_text()
    assert all(name in text for name in (*CONTENDERS, "GFLOP/s", "compile", "spread"))
    assert "…" not in text


def test_the_quick_suite_and_a_config_make_cases(tmp_path):
    assert len({case.name for case in cases.QUICK}) == len(cases.QUICK)
    path = tmp_path / "mine.toml"
    path.write_text(
        "[network]\ninput_size = 3\n[[network.layers]]\nhidden_size = 4\n[bench]\ntime_steps = 9\n"
    )
    case = cases.from_file(path)
    assert (case.name, case.config, case.shape) == ("mine", Config.stack(3, [4]), cases.Shape(9))


def test_rounding_is_allowed_for_by_dtype():
    assert agreement.TOLERANCE.keys() == set(DTYPES)
