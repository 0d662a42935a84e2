"""The tables that `jlstm bench` prints."""

import io

import pytest
from rich.console import Console

from jlstm.bench import tables
from tests.bench.comparing import CASE
from tests.bench.made_up import CEILINGS, outcome

NAMES = ("jlstm scan", "scan by hand", "keras on torch", "slow")


def assert_table_fits(case, outcome, width):
    console = Console(width=width, record=True, file=io.StringIO())
    tables.show(console, case, outcome, CEILINGS)
    text = console.export_text()
    assert all(name in text for name in outcome.timings)
    assert "ratio" in text and "…" not in text


def test_a_wide_interval_is_marked():
    calm = outcome("forward", {"jlstm scan": 1.0})
    for rounds, mark in (([1.0] * 5, " 0 "), ([1.0, 1.0, 2.0, 3.0, 3.0], "50! ")):
        timing = calm.timings["jlstm scan"]._replace(rounds_s=rounds)
        console = Console(width=80, record=True, file=io.StringIO())
        tables.show(console, CASE, calm._replace(timings={"jlstm scan": timing}), CEILINGS)
        assert mark in console.export_text()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("seconds", [1e-7, 1e-3, 100.0])
@pytest.mark.parametrize("mode", ["forward", "training", "step"])
def test_tables_fit_the_terminal(mode, seconds, width):
    speeds = {name: n * seconds for n, name in enumerate(NAMES, start=1)}
    assert_table_fits(CASE, outcome(mode, speeds), width)
