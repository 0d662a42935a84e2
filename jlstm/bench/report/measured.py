"""Tables of what was measured together: one case in one mode."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from jlstm.bench.record_fields import Record
from jlstm.bench.regressions import leaders
from jlstm.bench.report.escaping import text
from jlstm.bench.statistics import Estimate, ratio
from jlstm.bench.tables import TITLES, three_digits


class Comparison(NamedTuple):
    """jlstm beside its peers: its fastest contender, its time over theirs, and who ties."""

    best: str
    times: Estimate
    first: list[str]


def compare(group: list[Record]) -> Comparison | None:
    """A comparison of a group's records; None if jlstm or all peers were not timed."""
    timed = sorted((r for r in group if "median_s" in r), key=lambda r: r["median_s"])
    ours = [r for r in timed if r["contender"].startswith("jlstm ")]
    others = [r for r in timed if not r["contender"].startswith("jlstm ")]
    if not ours or not others:
        return None
    times = ratio(ours[0]["rounds_s"], others[0]["rounds_s"])
    ((_, tied),) = leaders(group).items()
    first = [r["contender"] for r in timed if r["contender"] in tied]
    return Comparison(ours[0]["contender"], times, first)


def row(case: str, mode: str, compared: Comparison) -> str:
    """The row of a comparison, below `HEAD`. `case` is Markdown."""
    first = ", ".join(map(text, compared.first))
    interval = f"{compared.times.low:.2f} to {compared.times.high:.2f}"
    return (
        f"| {case} | {TITLES[mode]} | {first} | {text(compared.best)} | "
        f"{compared.times.median:.2f} ({interval}) |"
    )


HEAD = [
    "| case | mode | fastest, within noise | jlstm's best | time divided by the best peer's |",
    "|---|---|---|---|---|",
]


def geometric_means(compared: Iterable[tuple[str, Comparison]]) -> dict[str, str]:
    """By mode: the geometric mean of jlstm's time divided by the best peer's."""
    logs: dict[str, list[float]] = {}
    for mode, comparison in compared:
        logs.setdefault(mode, []).append(math.log(comparison.times.median))
    return {mode: f"{math.exp(sum(own) / len(own)):.2f}" for mode, own in logs.items()}


def table(group: list[Record]) -> list[str]:
    """All measurements of a group, the fastest first, and why contenders are missing."""
    first = group[0]
    sizes = ", ".join(map(str, first["hidden_sizes"]))
    lines = [
        f"{TITLES[first['mode']].capitalize()}, T {first['time_steps']}, B {first['batch_size']}, "
        f"I {first['input_size']}, H {sizes}, {first['dtype']}:",
        "",
        "| | ms | 95 % interval | ratio | GFLOP/s | % of the product | lower ms | compile ms | "
        "peak MB | null ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    timed = sorted((r for r in group if "median_s" in r), key=lambda r: r["median_s"])
    reference = next((r for r in group if "median_s" in r), None)
    for r in timed:
        assert reference is not None
        low, high = r["interval_s"]
        speed = r.get("gflops_per_s")
        share = None if speed is None else 100 * speed / r["ceilings"]["product_gflops_per_s"]
        held = r["memory_bytes"]
        cells = [1e3 * r["median_s"], ratio(r["rounds_s"], reference["rounds_s"]).median]
        cells += [speed, share, 1e3 * r["lower_s"], 1e3 * r["compile_s"]]
        cells += [None if held is None else held / 1e6]
        cells += [None if r["null_s"] is None else 1e3 * r["null_s"]]
        texts = ["" if c is None else three_digits(c) for c in cells]
        texts.insert(1, f"{three_digits(1e3 * low)} to {three_digits(1e3 * high)}")
        lines.append(f"| {text(r['contender'])} | {' | '.join(texts)} |")
    lines.append("")
    by_reason: dict[str, list[str]] = {}
    for r in group:
        if "left_out" in r:
            by_reason.setdefault(r["left_out"], []).append(r["contender"])
    for reason, names in by_reason.items():
        lines += [f"Not timed: {text(', '.join(names))} ({text(reason)}).", ""]
    return lines
