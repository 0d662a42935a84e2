"""jlstm bench: a progress bar, tables, and records."""

import contextlib
import pathlib
import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from jlstm import validation
from jlstm.bench import cases, records, tables
from jlstm.bench.compare import compare

QUICK_SECONDS = 2.0


def run(path: pathlib.Path | None, out: pathlib.Path | None, seconds: float | None) -> None:
    """Measures the case in the TOML file at `path`, or the quick suite.

    Args:
      path: the config; None for the suite.
      out: file that the records are appended to; None for no records.
      seconds: steady-state seconds of each case and mode.
    """
    suite = cases.QUICK if path is None else (cases.from_file(path),)
    seconds = QUICK_SECONDS if seconds is None else validation.number("--seconds", seconds, low=0.0)
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn())
    with contextlib.ExitStack() as stack:
        # Opened first: a place that cannot be written is known before anything is measured.
        write = None if out is None else stack.enter_context(records.appending(out))
        progress = stack.enter_context(
            Progress(
                *columns,
                TimeElapsedColumn(),
                console=console,
                transient=True,
                disable=not sys.stdout.isatty(),
            )
        )
        bar = progress.add_task("", total=len(suite))
        for case in suite:

            def show(done: str, share: float, case: cases.Case = case) -> None:
                progress.update(bar, advance=share, description=f"{case.name}: {done}")

            outcome = compare(case, seconds, show)
            if write is not None:
                write(case, outcome)
            tables.show(console, case, outcome)
    if out is not None:
        console.print(f"records appended to {out}", soft_wrap=True, markup=False, highlight=False)
