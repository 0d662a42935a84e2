"""A small case that contenders are compared on, each in a process. No time is asserted."""

from jlstm import Config
from jlstm.bench import compare
from jlstm.bench.cases import Case, Shape

CASE = Case("small", Config.stack(3, [4, 5]), Shape(6, 2))

# Two rounds, as no time is asserted.
PACE = compare.Pace(0.0, fewest_rounds=2, pause_s=0.0)


def measured(case, contenders):
    """(outcomes by mode, why contenders do not take part)."""
    workers, missing = compare.started(contenders, 1)
    try:
        found = compare.compare(case, workers, 1, PACE, lambda *_: None)
        return {outcome.mode: outcome for outcome in found}, missing
    finally:
        for each in workers.values():
            each.stop()


FORWARD = Case("forward", CASE.config, Shape(6, 2, modes=("forward",)))
