"""Markdown tables of recorded measurements, including those that jlstm loses."""

import math

from jlstm.bench.record_fields import Record
from jlstm.bench.regressions import leaders
from jlstm.bench.report.escaping import address, code, text
from jlstm.bench.statistics import ratio
from jlstm.bench.tables import TITLES, three_digits


def write(records: list[Record], pictures: dict[str, str], source: str, folder: str) -> str:
    """The whole report.

    Args:
      records: the result of `records.read`.
      pictures: file name -> caption.
      source: name of the records' file.
      folder: folder of the pictures, relative to the report.
    """
    lines = [f"# Measurements in {text(source)}", ""]
    installed: dict[str, list[str]] = {}
    for run in _runs(records):
        installed.setdefault(_versions(run), []).append(_machine(run))
    for versions, machines in installed.items():
        lines += [*(line for machine in machines for line in (machine, "")), versions, ""]
    lines += _summary(records)
    for name, caption in pictures.items():
        lines += [f"![{caption}]({address(folder)}/{name})", "", caption, ""]
    for group in groups(records).values():
        lines += _case(group)
    return "\n".join(lines).rstrip() + "\n"


def groups(records: list[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """Groups of records of the same run, case and mode, which were measured together."""
    found: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        key = (record["started"] + record["command"], record["case"], record["mode"])
        found.setdefault(key, []).append(record)
    return found


def _runs(records: list[Record]) -> list[Record]:
    runs = {record["started"] + record["command"]: record for record in records}
    return list(runs.values())


def _versions(run: Record) -> str:
    versions = run["versions"].items()
    installed = [f"{k} {v}" for k, v in versions if v not in (None, "not installed")]
    return f"Versions: {text(', '.join(installed))}."


def _machine(run: Record) -> str:
    ceilings = run["ceilings"]
    of = "" if run["cpus"] is None else f" of {run['cpus']}"
    return (
        f"{code(run['command'])} on {run['started'][:10]}: {text(run['processor'])}, "
        f"{run['threads']}{of} processors; a large matrix product ran at "
        f"{ceilings['product_gflops_per_s']:.0f} GFLOP/s, a copy at "
        f"{ceilings['copy_gbytes_per_s']:.0f} GB/s."
    )


def _summary(records: list[Record]) -> list[str]:
    """The table of the fastest contender per case and mode, and of jlstm's time relative to it."""
    lines = [
        "| case | mode | fastest, within noise | jlstm's best | time divided by the best peer's |"
    ]
    lines += ["|---|---|---|---|---|"]
    logs: dict[str, list[float]] = {}
    for (_, case, mode), group in groups(records).items():
        timed = sorted((r for r in group if "median_s" in r), key=lambda r: r["median_s"])
        ours = [r for r in timed if r["contender"].startswith("jlstm ")]
        others = [r for r in timed if not r["contender"].startswith("jlstm ")]
        if not ours or not others:
            continue
        times = ratio(ours[0]["rounds_s"], others[0]["rounds_s"])
        logs.setdefault(mode, []).append(math.log(times.median))
        tied = leaders(group)[case, mode]
        first = ", ".join(text(r["contender"]) for r in timed if r["contender"] in tied)
        interval = f"{times.low:.2f} to {times.high:.2f}"
        lines.append(
            f"| {text(case)} | {TITLES[mode]} | {first} | {text(ours[0]['contender'])} | "
            f"{times.median:.2f} ({interval}) |"
        )
    means = [
        f"{TITLES[mode]} {math.exp(sum(values) / len(values)):.2f}" for mode, values in logs.items()
    ]
    if means:
        lines += ["", f"Geometric means: {', '.join(means)}; below 1, jlstm is faster."]
    return [*lines, ""]


def _case(group: list[Record]) -> list[str]:
    first = group[0]
    sizes = ", ".join(map(str, first["hidden_sizes"]))
    lines = [
        f"## {text(first['case'])}: {TITLES[first['mode']]}",
        "",
        f"T {first['time_steps']}, B {first['batch_size']}, I {first['input_size']}, H {sizes}, "
        f"{first['dtype']}.",
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
