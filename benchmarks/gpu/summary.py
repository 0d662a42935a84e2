"""Markdown on what the stages wrote so far."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import lines

Record = dict[str, Any]


def write(out: pathlib.Path) -> str:
    """The summary of a folder of results; stages that left nothing are said to have."""
    parts = [
        *_inventory(out / "inventory.json"),
        "## Stages",
        _table(
            ("stage", "how it ended"),
            [(s["stage"], s["ended"]) for s in lines.read(out / "stages.jsonl")],
        ),
        "## Contracts",
        "The largest difference from what it should be; products are at the highest precision.",
        *_contracts(lines.read(out / "contracts.jsonl")),
        "## Timings",
        "Milliseconds a call, the median of interleaved rounds. Every call is waited for. Where a "
        "name does not say otherwise, products of float32 are rounded to TensorFloat-32.",
        *_timings(lines.read(out / "records.jsonl")),
        "## Operations on the GPU for one step of the recurrence",
        *_launches(lines.read(out / "launches.jsonl")),
        "## Memory of a training step",
        "The most that was held, in MB; in brackets what XLA plans for the program.",
        *_memory(lines.read(out / "memory.jsonl")),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _inventory(path: pathlib.Path) -> list[str]:
    if not path.exists():
        return ["# Measured", "The inventory left no result."]
    found = json.loads(path.read_text(encoding="utf-8"))
    installed = [f"{k} {v}" for k, v in found["versions"].items() if v != "not installed"]
    rows = [
        (network, name, "yes" if usable else "no", reason)
        for network, each in found["implementations"].items()
        for name, usable, reason in each
    ]
    first = [f"{name}: {text}" for name, text in found["first call"].items()]
    return [
        f"# Measured on {', '.join(found['devices'])}",
        f"Driver: {found['driver']}; {found['torch']}; cuDNN of JAX: {found['cuDNN of JAX']}.",
        f"Versions: {', '.join(installed)}.",
        _table(("network", "implementation", "can run", "why not"), rows),
        f"A first small call, {'; '.join(first)}.",
    ]


def _contracts(found: list[Record]) -> list[str]:
    rows = _grid(found, "contract", "implementation", lambda r: r["text"])
    refused = dict.fromkeys(
        f"- {r['implementation']} refused: {r['details']}"
        for r in found
        if r["held"] and r["details"]
    )
    failed = [
        f"{r['implementation']}, {r['contract']}\n\n```\n{r['details'].strip()[-3000:]}\n```"
        for r in found
        if not r["held"] and r["details"]
    ]
    return [rows, "\n".join(refused), *failed]


def _timings(found: list[Record]) -> list[str]:
    for r in found:
        r["row"] = f"{r['case']}, {r['mode']}"
    shapes = {
        r["case"]: (
            f"{r['case']}: T {r['time_steps']}, B {r['batch_size']}, I {r['input_size']}, "
            f"H {', '.join(map(str, r['hidden_sizes']))}, {r['dtype']}"
        )
        for r in found
    }
    reasons: dict[str, dict[str, list[str]]] = {}
    for r in found:
        if "left_out" in r:
            who = reasons.setdefault(r["left_out"], {"contenders": [], "cases": []})
            who["contenders"].append(r["contender"])
            who["cases"].append(r["row"])
    told = [
        f"- {', '.join(dict.fromkeys(who['contenders']))}: {reason} "
        f"({'; '.join(dict.fromkeys(who['cases']))})"
        for reason, who in reasons.items()
    ]
    return [
        _grid(found, "row", "contender", _milliseconds),
        "\n".join(f"- {shape}" for shape in shapes.values()),
        "Not timed:" if told else "",
        "\n".join(told),
    ]


def _milliseconds(record: Record) -> str:
    return f"{1e3 * record['median_s']:.3g}" if "median_s" in record else "-"


def _launches(found: list[Record]) -> list[str]:
    rows = []
    for r in found:
        start = [f"{r['program']}, {r['mode']}", r["flags"] or "none"]
        if "error" in r:
            rows.append((*start, r["error"], "", ""))
            continue
        counts = [
            sum(r[f"operations {where}"].values()) / r["steps"]
            for where in ("on the device", "by the host")
        ]
        told = [f"{n:.2f}" if n else "not told" for n in counts]
        rows.append((*start, f"{r['milliseconds']:.3g}", *told))
    heads = ("program", "XLA_FLAGS", "ms a call", "operations a step", "started by the host a step")
    return [_table(heads, rows)]


def _memory(found: list[Record]) -> list[str]:
    def cell(record: Record) -> str:
        if "error" in record:
            return record["error"][:80]
        held, planned = (
            "not told" if n is None else f"{n / 1e6:.1f}"
            for n in (record["peak_bytes"], record["planned_bytes"])
        )
        return f"{held} ({planned})"

    return [_grid(found, "case", "contender", cell)]


def _grid(found: list[Record], row: str, column: str, cell: Any) -> str:
    """A table of records by two of their keys; where there is no record, an empty cell."""
    rows = dict.fromkeys(r[row] for r in found)
    columns = dict.fromkeys(r[column] for r in found)
    cells = {(r[row], r[column]): cell(r) for r in found}
    return _table(
        (row.replace("row", "case"), *columns),
        [(name, *(cells.get((name, c), "") for c in columns)) for name in rows],
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "Nothing was written."
    text = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        for row in text
    )
