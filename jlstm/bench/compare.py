"""One case, all contenders: agree first, then be timed in turn."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from jlstm.bench import agreement
from jlstm.bench.cases import SMALL, Case
from jlstm.bench.contenders import Contender
from jlstm.bench.problem import Seen
from jlstm.bench.worker import LeftOutError, Prepared, Worker

FEWEST_ROUNDS, MOST_ROUNDS = 5, 100
# Rounds that the time asked for is divided into.
ROUNDS = 10
SHORTEST_TURN_S = 0.005


class Pace(NamedTuple):
    """How long a case is timed in a mode.

    Attributes:
      seconds: how long its rounds go on together.
      fewest_rounds: rounds even if they take longer than that.
      turn_s: the shortest turn of a contender within a round, in seconds.
      pause_s: seconds between two turns. Thread pools of a CPU go on spinning for a while after a
        call, so the next contender waits until they sleep.
    """

    seconds: float
    fewest_rounds: int = FEWEST_ROUNDS
    turn_s: float = SHORTEST_TURN_S
    pause_s: float = 0.05


class Timing(NamedTuple):
    """One contender in one mode.

    Attributes:
      prepared: compile times and memory.
      rounds_s: seconds of a call in each round, the median of those in the round.
      null_s: seconds of a call that computes nothing, in each round; empty for large cases.
    """

    prepared: Prepared
    rounds_s: list[float]
    null_s: list[float]


class Outcome(NamedTuple):
    """What came of a case in a mode.

    Attributes:
      mode: the mode.
      timings: contender -> Timing, in the order in which they were given.
      left_out: contender -> why it was not timed.
    """

    mode: str
    timings: dict[str, Timing]
    left_out: dict[str, str]


Progress = Callable[[str, float], None]


def started(
    contenders: Iterable[Contender], threads: int, limit_s: float | None = None
) -> tuple[dict[str, Worker], dict[str, str]]:
    """Processes of the contenders that can run here, and why the others cannot.

    Args:
      contenders: who takes part.
      threads: how many threads each may use.
      limit_s: seconds after which a process that gives no answer is ended; None to wait for ever.
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
    """Times, mode by mode, all contenders that give the first one's outputs and gradients.

    Args:
      case: network, shape and modes.
      workers: contender -> process. The first that can run the case, this library, is what the
        others have to agree with; if it gives values that are no numbers, nothing is timed.
      threads: how many threads each may use.
      pace: how long the rounds of a mode go on.
      progress: called with what is being done, and the share of the whole case that was just done.
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
    """Progress of what takes no time to speak of."""


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
            left_out[name] = f"nothing to agree with, as {first} was left out"
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
            # What it computed has served; gradients of large networks are large.
            prepared[name] = found._replace(seen={})
    return prepared, left_out


def _rounds(
    workers: Mapping[str, Worker], mode: str, pace: Pace, progress: Progress
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of a call in each round, by contender; and why some did not last until the end."""
    rounds: dict[str, list[float]] = {name: [] for name in workers}
    lost: dict[str, str] = {}
    begin, done, count = time.perf_counter(), 0.0, 0
    turn = max(pace.turn_s, pace.seconds / ROUNDS / max(len(workers), 1) / 2)
    while rounds and (count < pace.fewest_rounds or (done < 1.0 and count < MOST_ROUNDS)):
        # Each round begins with another contender, so that none always follows the same one.
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
