"""The command `jlstm bench`: tables, records, and progress on standard error."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import pathlib
import shlex
from collections.abc import Sequence

from rich.console import Console

from jlstm import info, progress, sizes, terminal, validation
from jlstm.bench import cases, ceilings, document, records, regressions, tables
from jlstm.bench.compare import Pace, compare, started
from jlstm.bench.contenders import CONTENDERS, Contender
from jlstm.bench.record_fields import Record
from jlstm.bench.worker import pinned

SECONDS = 1.0


def run(
    path: pathlib.Path | None,
    *,
    out: pathlib.Path | None = None,
    seconds: float | None = None,
    threads: int | None = None,
    only: Sequence[str] = (),
    old: pathlib.Path | None = None,
    as_json: bool = False,
    contenders: Sequence[Contender] = CONTENDERS,
) -> None:
    """Measures the suite or the config in the TOML file at `path`, or the quick suite.

    Args:
      path: the file; None for the quick suite.
      out: file to append records to; None for no records.
      seconds: seconds to measure each case and mode; None for SECONDS.
      threads: number of processors that every contender is pinned to; None for all.
      only: names of the contenders to time besides the first; empty for all.
      old: file of records of an earlier run to compare with.
      as_json: print one line of JSON instead of tables, as `document.of_run` describes it.
      contenders: all known contenders.

    Raises:
      ValueError: an argument is out of range, a file has the wrong content, or JAX cannot start on
        this machine.
    """
    suite = cases.from_file(cases.QUICK if path is None else path)
    for case in suite:
        sizes.require_memory(f"case {case.name!r}", case.bytes_moved("forward"))
    seconds = validation.number("--seconds", SECONDS if seconds is None else seconds, low=0.0)
    threads = validation.positive_int("--threads", os.cpu_count() if threads is None else threads)
    names = [contender.name for contender in contenders]
    for name in only:
        validation.known_name("--only", name, names)
    wanted = [c for n, c in enumerate(contenders) if n == 0 or not only or c.name in only]
    earlier = None if old is None else records.read(old)
    console = Console(quiet=as_json)
    made: list[Record] = []
    with contextlib.ExitStack() as stack:
        # Opened first, so that a path that cannot be written fails before the measurements.
        write = None if out is None else stack.enter_context(records.appending(out))
        stack.enter_context(pinned(threads))
        bar = stack.enter_context(progress.shown(2 + len(suite)))
        bar.begin("measuring the speed of this machine")
        found = _ceilings(threads)
        bar.advance()
        common = records.of_run(_command(path, seconds, threads, only), threads, found)
        with bar.cleared():
            console.print(
                f"{common['processor']}, {threads} threads; ceilings: matrix product "
                f"{found['product_gflops_per_s']:.0f} GFLOP/s, copy "
                f"{found['copy_gbytes_per_s']:.0f} GB/s\n",
                markup=False,
                highlight=False,
            )
            console.print(tables.legend())
            console.print()
        bar.begin("starting each library in a process")
        workers, missing = started(wanted, threads)
        bar.advance()
        for worker in workers.values():
            stack.callback(worker.stop)
        with bar.cleared():
            for name, reason in missing.items():
                console.print(f"{name} does not take part: {reason}", markup=False, highlight=False)
        if wanted[0].name in missing:
            raise ValueError(f"{wanted[0].name} cannot run, but the others are compared with it")
        for case in suite:
            bar.begin(f"case {case.name}")

            def show(done: str, share: float, case: cases.Case = case) -> None:
                bar.update(f"{case.name}, {done}", share)

            for outcome in compare(case, workers, threads, Pace(seconds), show):
                made += (lines := records.of_case(common, case, outcome))
                if write is not None:
                    write(lines)
                with bar.cleared():
                    tables.show(console, case, outcome, found)
    if out is not None:
        console.print(f"records appended to {out}", soft_wrap=True, markup=False, highlight=False)
    if as_json:
        terminal.say_json(document.of_run(made, missing, earlier))
    elif earlier is not None:
        regressions.show(console, made, earlier)


def _command(path: pathlib.Path | None, seconds: float, threads: int, only: Sequence[str]) -> str:
    words = ["jlstm", "bench", *([] if path is None else [str(path)])]
    words += ["--seconds", f"{seconds:g}", "--threads", str(threads)]
    return shlex.join([*words, *(["--only", *only] if only else [])])


def _ceilings(threads: int) -> dict[str, float]:
    """The ceilings, measured in a child process so that this one starts no threads."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_measured, threads).result()
        except ValueError as error:
            raise ValueError(str(error)) from None  # without the traceback of the other process


def _measured(threads: int) -> dict[str, float]:
    info.devices()  # raises a one-line error if JAX cannot start
    return ceilings.measure(threads)
