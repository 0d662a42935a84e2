"""The script that measures the Flax modules, in a small setting."""

import pathlib
import runpy

import pytest

pytest.importorskip("flax")
SCRIPT = pathlib.Path(__file__).parent.parent.parent / "benchmarks" / "modules" / "flax_rnn.py"


@pytest.mark.full
def test_it_measures_what_agrees(capsys):
    script = runpy.run_path(str(SCRIPT))
    case = script["Case"](2, 3, 4, 5)
    script["main"](1, 0.001, (case, case._replace(both=True)))
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| linen"] * 2 + ["| nnx"] * 2
    with pytest.raises(AssertionError):
        script["agree"](script["np"].ones(3), script["np"].zeros(3))
