"""The LSTMs to measure, each set up as its authors recommend, all with the same weights.

Each module has `prepare(problem, mode, **options)`. It returns a Program, or raises
UnsupportedError if the framework does not support the network or the mode. Modules import their
framework at the top, because each contender runs in a separate process.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jlstm.bench.problem import Seen


class UnsupportedError(Exception):
    """A contender does not support a network or a mode. The message says what it lacks."""


class Program(NamedTuple):
    """A contender, ready to run one case in one mode.

    Attributes:
      call: runs the program once and waits until it is done.
      results: runs the same program and returns its results: "outputs" [T, B, H] and, in training,
        "gradients for the input" and those of `problem.named`.
      null: a call with the same input that computes next to nothing.
      lower_s: seconds of tracing and lowering without caches; 0 if the framework does neither.
      compile_s: seconds of compiling or building without caches; 0 if the framework does neither.
      device_bytes: returns the accelerator memory that a call takes, including arguments and
        results; None on a CPU. Call it after the program has run.
    """

    call: Callable[[], Any]
    results: Callable[[], Seen]
    null: Callable[[], Any]
    lower_s: float = 0.0
    compile_s: float = 0.0
    device_bytes: Callable[[], int | None] = lambda: None
