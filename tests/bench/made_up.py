"""Outcomes and records of runs that were never measured."""

import numpy as np

from jlstm import Config
from jlstm.bench import records
from jlstm.bench.cases import Case, Shape
from jlstm.bench.compare import Outcome, Timing
from jlstm.bench.worker import Prepared

CEILINGS = {"product_gflops_per_s": 100.0, "copy_gbytes_per_s": 10.0}
PREPARED = Prepared({}, 0.1, 0.2, 0.01, 5_000_000)


def rounds(seconds, noise=0.01, seed=0):
    return (seconds * (1 + noise * np.random.default_rng(seed).standard_normal(20))).tolist()


def outcome(mode, seconds, noise=0.01, seed=0):
    """A comparison of contenders with about these seconds, and one that was left out."""
    timings = {
        name: Timing(PREPARED, rounds(each, noise, seed), [1e-5]) for name, each in seconds.items()
    }
    return Outcome(mode, timings, {"gone": "needs: pip install gone"})


def run(speeds, sizes=(16,), noise=0.01, seed=0, ceilings=CEILINGS):
    """Records of made-up runs: contender -> seconds at 16 units; time grows with the operations."""
    shared = records.of_run("jlstm bench made-up.toml", 2, ceilings)
    lines = []
    for size in sizes:
        case = Case(f"H {size}", Config.stack(size, [size]), Shape(10, 4))
        seconds = {name: each * (size / 16) ** 2 for name, each in speeds.items()}
        lines += records.of_case(shared, case, outcome("forward", seconds, noise, seed))
    return lines
