"""Runs one case on all contenders: first checks that they agree, then times them."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from jlstm.bench import agreement
from jlstm.bench.cases import SMALL, Case
from jlstm.bench.contenders import Contender
from jlstm.bench.problem import Seen
from jlstm.bench.worker import LeftOutError, Prepared, Worker

FEWEST_ROUNDS, MOST_ROUNDS = 5, 100
# The number of rounds that the requested seconds are divided into.
ROUNDS = 10
SHORTEST_TURN_S = 0.005


class Pace(NamedTuple):
    """How long each case and mode is timed.

    A round times every contender once. A contender's part of a round is its turn.

    Attributes:
      seconds: total seconds of all rounds.
      fewest_rounds: the least number of rounds, even if they take longer than `seconds`.
      turn_s: seconds of the shortest turn.
      pause_s: seconds between two turns. CPU thread pools keep spinning for a while after a call,
        so the next contender waits until they sleep.
    """

    seconds: float
    fewest_rounds: int = FEWEST_ROUNDS
    turn_s: float = SHORTEST_TURN_S
    pause_s: float = 0.05


class Timing(NamedTuple):
    """The measurements of one contender in one mode.

    Attributes:
      prepared: compile times and memory.
      rounds_s: for each round, the median seconds of a call.
      null_s: the same for a call that computes nothing; empty for large cases.
    """

    prepared: Prepared
    rounds_s: list[float]
    null_s: list[float]


class Outcome(NamedTuple):
    """The results of a case in one mode.

    Attributes:
      mode: the mode.
      timings: contender -> Timing, in the order of the workers.
      left_out: contender -> the reason why it was not timed.
    """

    mode: str
    timings: dict[str, Timing]
    left_out: dict[str, str]


Progress = Callable[[str, float], None]


def started(
    contenders: Iterable[Contender], threads: int, limit_s: float | None = None
) -> tuple[dict[str, Worker], dict[str, str]]:
    """Starts a process for each contender.

    Args:
      contenders: the contenders.
      threads: number of threads that each may use.
      limit_s: seconds to wait for any answer before a process is killed; None for no limit.

    Returns:
      The processes of contenders that can run here, and the reasons why the others cannot.
    """
    workers = {contender.name: Worker(contender, threads, limit_s) for contender in contenders}
    missing = {}
    try:
        for name, worker in list(workers.items()):
            try:
                worker.ready()
            except LeftOutError as reason:
                missing[name] = str(reason)
                workers.pop(name).stop()
    except BaseException:
        for worker in workers.values():
            worker.stop()
        raise
    return workers, missing


def compare(
    case: Case, workers: Mapping[str, Worker], threads: int, pace: Pace, progress: Progress
) -> Iterator[Outcome]:
    """Times each mode for all contenders whose outputs and gradients agree with the reference.

    Args:
      case: network, shape and modes.
      workers: contender -> process. The reference is the first contender that can run the case,
        an implementation of this library. If its values are not finite, nothing is timed.
      threads: number of threads that each may use.
      pace: how long each mode is timed.
      progress: called with a description, and the fraction of the case that was just completed.
    """
    for mode in case.shape.modes:

        def show(text: str, share: float, mode: str = mode) -> None:
            progress(f"{mode}: {text}", share / len(case.shape.modes))

        prepared, left_out = _agreeing(case, mode, workers, threads, show)
        timed = {name: workers[name] for name in prepared}
        rounds, lost = _rounds(timed, mode, pace, show)
        left_out |= lost
        small = mode != "compile" and case.flops(mode) < SMALL
        alive = {name: timed[name] for name in rounds}
        nulls = _rounds(alive, "null", pace._replace(seconds=0.0), _unseen)[0] if small else {}
        timings = {
            name: Timing(prepared[name], rounds[name], nulls.get(name, [])) for name in rounds
        }
        yield Outcome(mode, timings, left_out)
        for worker in alive.values():
            worker.forget()


def _unseen(text: str, share: float) -> None:
    """A progress callback that does nothing, for null calls."""


def _agreeing(
    case: Case, mode: str, workers: Mapping[str, Worker], threads: int, progress: Progress
) -> tuple[dict[str, Prepared], dict[str, str]]:
    prepared: dict[str, Prepared] = {}
    left_out: dict[str, str] = {}
    names = list(workers)
    first = names[0]
    expected: Seen = {}
    rounding = case.config.dtype
    for name, worker in workers.items():
        progress(name, 0.5 / len(workers))
        if name != first and not expected:
            left_out[name] = f"nothing to compare it with: {first} was left out"
            continue
        try:
            found = worker.prepare(case, mode, threads)
        except LeftOutError as reason:
            left_out[name] = str(reason)
            if name == first and name != names[-1]:
                first = names[names.index(name) + 1]  # the next implementation of this library
            continue
        if fault := agreement.fault(found.seen):
            left_out[name] = fault
        elif name == first:
            expected = found.seen
            rounding = agreement.coarser(rounding, worker.contender.rounding)
        elif difference := agreement.disagreement(
            expected, found.seen, agreement.coarser(rounding, worker.contender.rounding)
        ):
            left_out[name] = f"does not agree with {first}: {difference}"
        if name in left_out:
            worker.forget()
        else:
            # The results are not needed any more, and gradients of large networks are large.
            prepared[name] = found._replace(seen={})
    return prepared, left_out


def _rounds(
    workers: Mapping[str, Worker], mode: str, pace: Pace, progress: Progress
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """For each contender the seconds of a call per round; and why some stopped early."""
    rounds: dict[str, list[float]] = {name: [] for name in workers}
    lost: dict[str, str] = {}
    begin, done, count = time.perf_counter(), 0.0, 0
    turn = max(pace.turn_s, pace.seconds / ROUNDS / max(len(workers), 1) / 2)
    while rounds and (count < pace.fewest_rounds or (done < 1.0 and count < MOST_ROUNDS)):
        # Each round starts with a different contender.
        names = list(rounds)
        for name in names[count % len(names) :] + names[: count % len(names)]:
            try:
                times = sorted(workers[name].turn(mode, turn))
            except LeftOutError as reason:
                lost[name] = str(reason)
                del rounds[name]
                continue
            rounds[name].append(times[len(times) // 2])
            time.sleep(pace.pause_s)
        count += 1
        before, done = done, min((time.perf_counter() - begin) / max(pace.seconds, 1e-9), 1.0)
        progress(f"round {count}", 0.5 * (done - before))
    return rounds, lost
