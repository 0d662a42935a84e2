"""Tables of results that fit 80 columns."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jlstm.bench.cases import Case
from jlstm.bench.compare import Outcome
from jlstm.bench.statistics import estimate, ratio
from jlstm.validation import printable

# An interval wider than this is the mark of a busy machine.
WIDE_PERCENT = 10
TITLES = {
    "forward": "forward",
    "training": "training step",
    "step": "one step",
    "compile": "lower and compile",
}


def show(console: Console, case: Case, outcome: Outcome, ceilings: dict[str, float]) -> None:
    """Prints a table, fastest first, then the contenders that were left out, with reasons.

    Columns: milliseconds per call; half the width of the 95 % interval; the ratio to the first
    contender's time; the speed, and its percentage of the matrix product's speed; milliseconds to
    lower and compile; the process's peak memory; and, for small cases, milliseconds of a call that
    computes nothing.
    """
    console.print(Text(f"{describe(case)}: {TITLES[outcome.mode]}", style="bold"))
    if outcome.timings:
        console.print(_table(case, outcome, ceilings))
    by_reason: dict[str, list[str]] = {}
    for name, reason in outcome.left_out.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        console.print(Text(f"  not timed: {', '.join(names)} ({reason})"))
    console.print()


LEGEND = {
    "ms": "milliseconds per call, the median of all rounds",
    "±%": f"half the width of the median's 95 % interval. Above {WIDE_PERCENT} it is marked !: "
    "other programs kept this machine busy, so measure again",
    "ratio": "the time divided by that of the first contender, normally jlstm, in the same round: "
    "the median of these. It may differ from the quotient of the ms, and is the better comparison",
    "% max": "speed as a percentage of one large matrix product's",
    "build ms": "lowering and compiling",
    "MB": "peak memory of the process",
    "null": "a call that computes nothing",
}


def legend() -> Table:
    """The meaning of each column."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for heading, meaning in LEGEND.items():
        table.add_row(heading, meaning)
    return table


def describe(case: Case) -> str:
    """The case in one line: name, steps T, batch B, input size I, hidden sizes H, dtype."""
    sizes = ", ".join(
        f"{layer.hidden_size}{' bidirectional' if layer.bidirectional else ''}"
        for layer in case.config.layers
    )
    shape = case.shape
    text = f"{printable(case.name)}: T {shape.time_steps}, B {shape.batch_size}, "
    text += f"I {case.config.input_size}, H {sizes}, {case.config.dtype}"
    if shape.shortest < 1:
        text += f", lengths from {shape.shortest * shape.time_steps:.0f}"
    return text + (f", resets at {100 * shape.resets:g} %" if shape.resets else "")


def _table(case: Case, outcome: Outcome, ceilings: dict[str, float]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("", no_wrap=True, min_width=14)
    runs = outcome.mode != "compile"
    null = any(timing.null_s for timing in outcome.timings.values())
    headings = ["ms", "±%", "ratio"]
    headings += ["GFLOP/s", "% max", "build ms", "MB"] if runs else []
    for heading in headings + ["null"] * null:
        table.add_column(heading, justify="right", no_wrap=True)
    reference = next(iter(outcome.timings.values())).rounds_s
    ceiling = ceilings["product_gflops_per_s"]
    ordered = sorted(outcome.timings.items(), key=lambda item: estimate(item[1].rounds_s).median)
    for name, timing in ordered:
        time = estimate(timing.rounds_s)
        half = 50 * (time.high - time.low) / time.median
        relative = ratio(timing.rounds_s, reference).median
        wide = "!" if half > WIDE_PERCENT else ""
        row = [three_digits(1e3 * time.median), f"{half:.0f}{wide}", f"{relative:.2f}"]
        if runs:
            speed = case.flops(outcome.mode) / time.median / 1e9
            compiling = timing.prepared.lower_s + timing.prepared.compile_s
            held = timing.prepared.memory_bytes
            row += [three_digits(speed), f"{100 * speed / ceiling:.0f}"]
            row += [f"{1e3 * compiling:.0f}", "" if held is None else three_digits(held / 1e6)]
        if null:
            row.append(three_digits(1e3 * estimate(timing.null_s).median))
        table.add_row(name, *row)
    return table


def three_digits(x: float) -> str:
    """A number in a narrow column: three significant digits from 0.1 to 1000."""
    return f"{x:.3g}" if 0.1 <= x < 1000 else f"{x:.0f}" if x >= 1000 or x == 0 else f"{x:.3f}"
