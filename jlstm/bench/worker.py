"""Runs each contender in a separate process, so that thread pools and memory do not mix."""

import contextlib
import importlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import jax
import numpy as np

from jlstm.bench import memory, problem
from jlstm.bench.cases import SMALL, Case, Shape
from jlstm.bench.contenders import Contender
from jlstm.bench.peers import UnsupportedError
from jlstm.bench.problem import Seen
from jlstm.config import Config

# The largest number of calls in one turn.
MOST_CALLS = 1000
# About how many numbers of an output are compared. Contenders send them through a pipe.
MOST_COMPARED = 1 << 24
# Run once before the first case, so that a framework's setup does not count in it.
WARM_UP = Case("warm-up", Config.stack(2, [2]), Shape(2, 1))


class Prepared(NamedTuple):
    """The measurements of a contender before it is timed.

    Attributes:
      seen: its results.
      lower_s, compile_s, first_call_s: seconds; see peers.Program.
      memory_bytes: on an accelerator, the device memory that the program takes. On a CPU, the peak
        of its process while running, minus the process's memory before the case. None if the system
        does not report it.
    """

    seen: Seen
    lower_s: float
    compile_s: float
    first_call_s: float
    memory_bytes: int | None


class LeftOutError(Exception):
    """A contender cannot be measured. The message says why."""


class Worker:
    """A contender in a separate process. Every method waits for the process's answer."""

    def __init__(self, contender: Contender, threads: int, limit_s: float | None = None) -> None:
        """Starts the process. `ready` waits until it has imported its framework.

        Args:
          contender: the contender.
          threads: number of threads it may use.
          limit_s: seconds to wait for any answer before the process is killed; None for no limit.
        """
        self.contender = contender
        self._limit_s = limit_s
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # Frameworks write much to standard error. It is only needed if the process dies.
        self._errors = tempfile.NamedTemporaryFile()  # noqa: SIM115 - `stop` closes it
        arguments = (theirs, contender, self._errors.name, threads)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        threads_text = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        with _environment(threads_text | dict(contender.environment or {})), _without_ctrl_c():
            self._process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        """Whether the process is still running."""
        return self._process.is_alive()

    def ready(self) -> None:
        """Waits until the framework is imported. LeftOutError says what is missing."""
        self._answer()

    def prepare(self, case: Case, mode: str, threads: int) -> Prepared:
        """Builds the case in a mode and runs it once. LeftOutError says why it cannot."""
        return self._ask("prepare", case, mode, threads)

    def turn(self, mode: str, seconds: float) -> list[float]:
        """Calls the program for `seconds`, at least once. Returns the seconds of each call.

        Mode "null" times a call that computes nothing.
        """
        return self._ask("turn", mode, seconds)

    def forget(self) -> None:
        """Frees the programs of the case."""
        self._ask("forget")

    def stop(self) -> None:
        """Ends the process."""
        with contextlib.suppress(OSError):
            self._connection.close()
        self._process.terminate()
        self._process.join()
        self._errors.close()

    def _ask(self, *message: Any) -> Any:
        with contextlib.suppress(OSError):  # `_answer` notices a dead process
            self._connection.send(message)
        return self._answer()

    def _answer(self) -> Any:
        try:
            if not self._connection.poll(self._limit_s):
                self._process.kill()
                self._process.join()
                self._connection.close()
                raise LeftOutError(f"it did not answer within {self._limit_s:g} s, and was killed")
            kind, value = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(5)
            code = self._process.exitcode
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            last = f": {said[-1][:200]}" if said else ""
            raise LeftOutError(f"its process ended with exit code {code}{last}") from None
        if kind == "left out":
            raise LeftOutError(value)
        return value


@contextlib.contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Pins this process, and those it starts meanwhile, to that many processors.

    Raises:
      ValueError: the machine has fewer processors, or the system does not support pinning.
    """
    if not hasattr(os, "sched_setaffinity"):
        if threads != os.cpu_count():
            raise ValueError(
                f"--threads is {threads}, but this system cannot pin processes; leave --threads out"
            )
        yield
        return
    before = os.sched_getaffinity(0)
    if threads > len(before):
        raise ValueError(
            f"--threads is {threads}, but this process may use {len(before)} processors"
        )
    os.sched_setaffinity(0, sorted(before)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Sets environment variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Processes that are started in this context never see Ctrl-C, not even while they import.

    It reaches every process of a terminal, but only the main one handles it. That one sees it when
    the context ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, contender: Contender, errors: str, threads: int) -> None:
    with open(errors, "ab") as file:
        os.dup2(file.fileno(), 2)
    programs: dict[str, Any] = {}
    try:
        module = importlib.import_module(contender.module)
        missing = getattr(module, "requirement", lambda **options: "")(**(contender.options or {}))
    except ImportError as error:
        missing = f"needs: pip install {contender.install}" if contender.install else str(error)
    except Exception as error:
        missing = f"cannot be imported: {_short(error)}"
    if missing:
        connection.send(("left out", missing))
        return
    with contextlib.suppress(Exception):  # any error will show again in a case
        _prepare(module, contender, programs, WARM_UP, "forward", threads)
    _forget(programs)
    connection.send(("ready", None))
    while True:
        try:
            kind, *rest = connection.recv()
        except (EOFError, OSError):
            return
        try:
            if kind == "prepare":
                answer = _prepare(module, contender, programs, *rest)
            elif kind == "turn":
                answer = _turn(programs, *rest)
            else:
                answer = _forget(programs)
            connection.send(("done", answer))
        except Exception as error:
            connection.send(("left out", _short(error)))


def _forget(programs: dict[str, Any]) -> None:
    programs.clear()
    jax.clear_caches()


def _short(error: Exception) -> str:
    text = (str(error).strip().splitlines() or [""])[0][:200]
    return text if isinstance(error, UnsupportedError) else f"{type(error).__name__}: {text}"


def _prepare(
    module: Any, contender: Contender, programs: dict[str, Any], case: Case, mode: str, threads: int
) -> Prepared:
    jax.config.update("jax_enable_x64", case.config.dtype == "float64")
    before = memory.resident_bytes()
    program = module.prepare(problem.make(case, threads), mode, **(contender.options or {}))
    memory.resident_bytes()  # frees the memory that compiling took
    memory.start_peak()
    start = time.perf_counter()
    program.call()
    first = time.perf_counter() - start
    program.call()
    peak = memory.peak_bytes()
    programs[mode] = program.call
    if case.flops(mode) < SMALL:
        program.null()
        programs["null"] = program.null
    held = program.device_bytes()
    if held is None and before is not None and peak is not None:
        held = max(0, peak - before)
    seen = {name: _few_sequences(a) for name, a in program.results().items()}
    return Prepared(seen, program.lower_s, program.compile_s, first, held)


def _few_sequences(a: np.ndarray) -> np.ndarray:
    """Of a large array [T, B, features], some evenly spread sequences; other arrays whole."""
    if a.ndim != 3 or a.size <= MOST_COMPARED:
        return a
    return np.ascontiguousarray(a[:, :: -(-a.size // MOST_COMPARED)])


def _turn(programs: dict[str, Any], mode: str, seconds: float) -> list[float]:
    call = programs[mode]
    start = time.perf_counter()
    call()  # loads weights into caches and wakes threads
    last = time.perf_counter() - start
    if last > seconds:
        return [last]
    times: list[float] = []
    while not times or (sum(times) < seconds and len(times) < MOST_CALLS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times
