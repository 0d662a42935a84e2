"""How long things take: lowering, compiling and running apart, contenders in turn."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np


@dataclasses.dataclass
class Timing:
    """One contender in one mode; seconds and bytes.

    Attributes:
      lower_s: tracing and lowering.
      compile_s: compiling.
      first_call_s: the first call after that.
      rounds_s: each call of the steady state.
      memory_bytes: arguments, results and temporaries, as the compiler counts them.
    """

    lower_s: float
    compile_s: float
    first_call_s: float
    rounds_s: list[float]
    memory_bytes: int

    @property
    def median_s(self) -> float:
        """Median of the rounds."""
        return float(np.median(self.rounds_s))

    @property
    def spread_s(self) -> float:
        """Distance between the quartiles of the rounds."""
        low, high = np.percentile(self.rounds_s, [25, 75])
        return float(high - low)


def measure(
    contenders: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]],
    seconds: float,
    advance: Callable[[str], None],
) -> dict[str, Timing]:
    """Times functions on their arguments, round by round, so that noise falls on all alike.

    Args:
      contenders: name -> (function, arguments).
      seconds: how long the rounds of the steady state go on together; at least 5 rounds.
      advance: called with a name when that contender has been compiled.
    """
    compiled, timings = {}, {}
    for name, (function, args) in contenders.items():
        start = time.perf_counter()
        lowered = jax.jit(function).lower(*args)
        lowering = time.perf_counter()
        compiled[name] = lowered.compile()
        compiling = time.perf_counter()
        jax.block_until_ready(compiled[name](*args))
        first = time.perf_counter()
        timings[name] = Timing(
            lowering - start,
            compiling - lowering,
            first - compiling,
            [],
            _memory(compiled[name]),
        )
        advance(name)
    for name, (_, args) in contenders.items():  # warm-up, after all have been compiled
        jax.block_until_ready(compiled[name](*args))
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < 5 or (time.perf_counter() < end and rounds < 2000):
        for name, (_, args) in contenders.items():
            start = time.perf_counter()
            jax.block_until_ready(compiled[name](*args))
            timings[name].rounds_s.append(time.perf_counter() - start)
        rounds += 1
    return timings


def _memory(compiled: Any) -> int:
    found = compiled.memory_analysis()
    if found is None:
        return 0
    sizes = (found.argument_size_in_bytes, found.output_size_in_bytes, found.temp_size_in_bytes)
    return int(sum(sizes) - found.alias_size_in_bytes)
