"""How long things take: lowering, compiling and running apart, contenders in turn."""

import contextlib
import dataclasses
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache


@dataclasses.dataclass
class Timing:
    """One contender in one mode; seconds and bytes.

    Attributes:
      lower_s: tracing and lowering, nothing being cached.
      compile_s: compiling, likewise.
      first_call_s: the first call after that.
      rounds_s: each call of the steady state.
      memory_bytes: the most that a call holds at once: arguments, results and temporaries, as the
        compiler counts them.
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
    progress: Callable[[str, float], None],
) -> dict[str, Timing]:
    """Times functions on their arguments, round by round, so that noise falls on all alike.

    Args:
      contenders: name -> (function, arguments).
      seconds: how long the rounds of the steady state go on together; at least 5 rounds, at most
        2,000.
      progress: called with what has just been done, and what share of the whole that was.
    """
    compiled, timings = {}, {}
    if not contenders:
        progress("nothing", 1.0)
    for name, (function, args) in contenders.items():
        compiled[name], timings[name] = _compile(function, args)
        progress(f"{name} compiled", 0.5 / len(contenders))
    for name, (_, args) in contenders.items():  # warm-up, after all have been compiled
        jax.block_until_ready(compiled[name](*args))
    begin, done, rounds = time.perf_counter(), 0.0, 0
    while contenders and (rounds < 5 or (done < 1.0 and rounds < 2000)):
        for name, (_, args) in contenders.items():
            start = time.perf_counter()
            jax.block_until_ready(compiled[name](*args))
            timings[name].rounds_s.append(time.perf_counter() - start)
        rounds += 1
        before, done = done, min((time.perf_counter() - begin) / max(seconds, 1e-9), 1.0)
        progress(f"round {rounds}", 0.5 * (done - before))
    return timings


def _compile(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Timing]:
    with _uncached():
        start = time.perf_counter()
        lowered = jax.jit(function).lower(*args)
        lowering = time.perf_counter()
        compiled = lowered.compile()
        compiling = time.perf_counter()
    called = time.perf_counter()
    jax.block_until_ready(compiled(*args))
    first = time.perf_counter() - called
    memory = _memory(compiled)
    return compiled, Timing(lowering - start, compiling - lowering, first, [], memory)


@contextlib.contextmanager
def _uncached() -> Iterator[None]:
    """Forgets what was traced and compiled before, inner functions included, on disk too."""
    on_disk = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # else JAX remembers whether there was one on disk
    jax.clear_caches()
    gc.collect()  # not within what is timed
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", on_disk)
        compilation_cache.reset_cache()


def _memory(compiled: Any) -> int:
    found = compiled.memory_analysis()
    if found is None:
        return 0
    sizes = (found.argument_size_in_bytes, found.output_size_in_bytes, found.temp_size_in_bytes)
    return int(sum(sizes) - found.alias_size_in_bytes)
