"""What came of a case, as tables that fit 80 columns."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jlstm.bench.cases import Case
from jlstm.bench.compare import MODES, Outcome

HEADINGS = ("lower", "compile", "first", "median", "spread", "GFLOP/s", "MB")
TITLES = {"forward": "forward, ms", "training": "training step, ms"}


def show(console: Console, case: Case, outcome: Outcome) -> None:
    """Prints a table for each mode, and who was left out and why."""
    console.print(Text(describe(case), style="bold"))
    if any(layer.dropout for layer in case.config.layers):
        console.print("  Nothing is dropped here, so that all can be compared.")
    for mode in MODES:
        if any(of == mode for _, of in outcome.timings):
            console.print(_table(mode, case, outcome))
    for name, reason in outcome.left_out.items():
        console.print(Text(f"  {name} was not timed: {reason}"))
    console.print()


def describe(case: Case) -> str:
    """The case in a line: name, steps T, batch B, input size I, layers' sizes H, dtype."""
    sizes = ", ".join(str(layer.hidden_size) for layer in case.config.layers)
    return (
        f"{case.name}: T {case.shape.time_steps}, B {case.shape.batch_size}, "
        f"I {case.config.input_size}, H {sizes}, {case.config.dtype}"
    )


def _table(mode: str, case: Case, outcome: Outcome) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(TITLES[mode], no_wrap=True, min_width=17)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True, min_width=5)
    for (name, of), t in outcome.timings.items():
        if of == mode:
            times = (t.lower_s, t.compile_s, t.first_call_s, t.median_s, t.spread_s)
            rest = (case.flops(mode) / t.median_s / 1e9, t.memory_bytes / 1e6)
            table.add_row(name, *(_three_digits(x) for x in (*(1000 * s for s in times), *rest)))
    return table


def _three_digits(x: float) -> str:
    return f"{x:.3g}" if 0.1 <= x < 1000 else f"{x:.0f}" if x >= 1000 else f"{x:.4f}"
