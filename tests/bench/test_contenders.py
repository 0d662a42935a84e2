"""Every contender of the benchmark, compared on every kind of network."""

import dataclasses
import functools

import pytest

from jlstm import Config, Layer
from jlstm.bench import compare
from jlstm.bench.cases import Case, Shape
from jlstm.bench.contenders import CONTENDERS
from tests.bench.comparing import CASE, PACE, measured
from tests.bench.test_tables import assert_table_fits
from tests.planted import OURS, planted

SKIPPED = {"torch on cuda", "cudnn from jax", "jlstm tpu", "jlstm cudnn"}

TRAINING = Shape(6, 2, modes=("training",))

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
    "float64": {"keras on jax", "keras on tf", "onnxruntime"},
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


@pytest.mark.full
def test_compiling_is_a_mode_of_its_own():
    case = Case("small", CASE.config, Shape(6, 2, modes=("compile",)))
    outcomes, _ = measured(case, [OURS, *(c for c in CONTENDERS if c.name == "torch")])
    assert list(outcomes["compile"].timings) == [OURS.name]
    assert outcomes["compile"].left_out == {"torch": "compiling is timed for JAX only"}


@pytest.mark.full
@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("shape", ["stack", "steps"])
def test_tables_of_all_contenders_fit_the_terminal(everyone, shape, width):
    for outcome in everyone[0](shape).values():
        assert_table_fits(SHAPES[shape], outcome, width)


@pytest.mark.full
def test_two_contenders_agree_within_the_coarser_of_their_formats():
    """TensorFloat-32 is wrong by more than float32 is allowed, beside a contender that has none."""
    exact, rounded = planted("rounded", rounding=""), planted("rounded", rounding="tfloat32")
    outcomes, _ = measured(CASE, [OURS, exact._replace(name="exact"), rounded])
    for outcome in outcomes.values():
        assert "is allowed in float32" in outcome.left_out["exact"]
        assert "rounded" in outcome.timings
