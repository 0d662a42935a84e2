"""LSTMs to measure, each set up as its authors would and given the same weights.

Each module has `prepare(problem, mode, **options)`, which returns a Program and raises
UnsupportedError where it has no such network or mode. It imports its framework at the top: each
contender runs in a process of its own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jlstm.bench.problem import Seen


class UnsupportedError(Exception):
    """A contender has no equal of a network or a mode; the message says what it lacks."""


class Program(NamedTuple):
    """A contender, ready to run one case in one mode.

    Attributes:
      call: runs it once and waits until it is done.
      results: runs the same program and gives what it computed: "outputs" [T, B, H], in training
        also "gradients for the input" and those that `problem.named` names.
      null: a call with the same input that computes next to nothing.
      lower_s: seconds of tracing and lowering, nothing being cached; 0 where there is no such
        thing.
      compile_s: seconds of compiling or building, likewise.
      device_bytes: memory of an accelerator that a call takes, arguments and results included,
        asked for once it has run; None on a CPU.
    """

    call: Callable[[], Any]
    results: Callable[[], Seen]
    null: Callable[[], Any]
    lower_s: float = 0.0
    compile_s: float = 0.0
    device_bytes: Callable[[], int | None] = lambda: None
