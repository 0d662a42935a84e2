"""Contenders that are wrong, slow or broken are found, and the others are timed."""

import functools

import pytest

from jlstm.bench import compare
from tests.bench.comparing import CASE, FORWARD, PACE, measured
from tests.planted import OURS, planted

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
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_caught_and_not_timed(in_training, fault):
    outcome = in_training(fault)
    assert fault not in outcome.timings
    assert FAULTS[fault] in outcome.left_out[fault]


@pytest.mark.full
def test_what_is_missing_says_what_to_install(faulty):
    assert faulty[1] == {"missing": "needs: pip install planted"}


@pytest.mark.full
def test_a_slow_contender_is_seen_to_be_slow_by_at_least_what_it_sleeps(faulty):
    timings = faulty[0]["forward"].timings
    assert {OURS.name, "slow"} <= set(timings)
    assert min(timings["slow"].rounds_s) > 0.01
    assert {len(timing.rounds_s) for timing in timings.values()} == {PACE.fewest_rounds}


@pytest.mark.full
def test_nothing_is_timed_if_the_first_contender_gives_no_numbers():
    outcomes, _ = measured(FORWARD, [planted("not a number"), OURS])
    outcome = outcomes["forward"]
    assert not outcome.timings
    assert "not all finite" in outcome.left_out["not a number"]
    assert "nothing to compare it with" in outcome.left_out[OURS.name]


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
