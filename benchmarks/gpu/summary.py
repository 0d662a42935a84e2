"""The Markdown summary of the results that the stages have written so far."""

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import stage

Record = dict[str, Any]
NOTHING = "No results."


def write(out: pathlib.Path) -> str:
    """The summary of a folder of results. It names the parts that have none."""
    parts = [
        *_inventory(out / "inventory.json"),
        "## Stages",
        _table(
            ("stage", "how it ended"),
            [(s["stage"], s["ended"]) for s in stage.read(out / "stages.jsonl")],
        ),
        "## Contracts",
        "The largest difference from the reference. Matrix products have the highest precision.",
        *_contracts(stage.read(out / "contracts.jsonl")),
        "## Timings",
        "Milliseconds per call: the median of interleaved rounds, with its 95 % interval. Each "
        "call is waited for. float32 products use TensorFloat-32 unless a name says otherwise. "
        "Published for FlashRNN's shape on an H100: cuDNN through torch in float16 takes 2.0 ms "
        "forward and 5.2 ms in training.",
        *_timings(stage.read(out / "records.jsonl")),
        "## Operations on the GPU",
        "The operations of one call, divided by the number of time steps.",
        *_launches(stage.read(out / "launches.jsonl")),
        "## Memory of a training step",
        "The peak in MB, with XLA's autotuning off. In brackets: the memory that XLA plans.",
        *_memory(stage.read(out / "memory.jsonl")),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _inventory(path: pathlib.Path) -> list[str]:
    if not path.exists():
        return ["# Measured", NOTHING]
    found = json.loads(path.read_text(encoding="utf-8"))
    versions, devices = found.pop("versions", {}), found.pop("devices", [])
    networks = found.pop("implementations", {})
    if isinstance(devices, list):
        devices = ", ".join(devices)
    if isinstance(versions, dict):
        versions = ", ".join(f"{k} {v}" for k, v in versions.items() if v != "not installed")
    rows = [
        (network, name, "yes" if usable else "no", reason)
        for network, each in (networks.items() if isinstance(networks, dict) else ())
        for name, usable, reason in each
    ]
    return [
        f"# Measured on {devices}",
        "\n".join(f"- {name}: {text}" for name, text in found.items()),
        f"Versions: {versions}.",
        _table(("network", "implementation", "can run", "why not"), rows),
    ]


def _contracts(found: list[Record]) -> list[str]:
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
    table = _grid(found, "contract", "implementation", lambda r: r["text"])
    return [table, "\n".join(refused), *failed]


def _timings(found: list[Record]) -> list[str]:
    for r in found:
        r["row"] = f"{r['case']}, {r['mode']}"
    shapes = dict.fromkeys(
        f"- {r['case']}: T {r['time_steps']}, B {r['batch_size']}, I {r['input_size']}, "
        f"H {', '.join(map(str, r['hidden_sizes']))}, {r['dtype']}"
        for r in found
    )
    reasons: dict[str, dict[str, list[str]]] = {}
    for r in found:
        if "left_out" in r:
            who = reasons.setdefault(r["left_out"], {"contenders": [], "cases": []})
            who["contenders"].append(r["contender"])
            who["cases"].append(r["row"])
    lines = [
        f"- {', '.join(dict.fromkeys(who['contenders']))}: {reason} "
        f"({'; '.join(dict.fromkeys(who['cases']))})"
        for reason, who in reasons.items()
    ]
    return [
        _grid(found, "row", "contender", _milliseconds),
        "\n".join(shapes),
        "Not timed:" if lines else "",
        "\n".join(lines),
    ]


def _milliseconds(record: Record) -> str:
    if "median_s" not in record:
        return "-"
    low, high = (1e3 * s for s in record["interval_s"])
    return f"{1e3 * record['median_s']:.3g} ({low:.3g} to {high:.3g})"


def _launches(found: list[Record]) -> list[str]:
    merged: dict[tuple[str, ...], Record] = {}
    for r in found:  # one record has the time, another the profile
        merged.setdefault((r["program"], r["mode"], r["flags"]), {}).update(r)
    rows, errors, longest = [], [], []
    for (program, mode, flags), r in merged.items():
        name = f"{program}, {mode}"
        if "error" in r:
            errors.append(f"- {name}: {r['error']}")
        milliseconds = f"{r['milliseconds']:.3g}" if "milliseconds" in r else "-"
        cells = [name, flags.replace("--xla_", "") or "default", milliseconds]
        for where in ("on the device", "by the host"):
            events = r.get("operations", {}).get(where, {})
            count = sum(n for n, _ in events.values()) / r["steps"]
            cells.append(f"{count:.2f}" if count else "not reported")
            if where == "on the device" and events:
                cells.append(f"{sum(ms for _, ms in events.values()):.3g}")
                most = sorted(events.items(), key=lambda e: -e[1][1])[:5]
                told = ", ".join(f"{e} {n:g} times {ms:.3g} ms" for e, (n, ms) in most)
                longest.append(f"- {name}: {told}")
            elif where == "on the device":
                cells.append("not reported")
        rows.append(cells)
    heads = ("program", "XLA flags", "ms per call", "operations", "busy ms", "started by the host")
    return [
        _table(heads, rows),
        "\n".join(dict.fromkeys(errors)),
        "The operations with the longest total time:" if longest else "",
        "\n".join(longest),
    ]


def _memory(found: list[Record]) -> list[str]:
    def cell(record: Record) -> str:
        if "error" in record:
            return record["error"][:80]
        held, planned = record["peak_bytes"], record["planned_bytes"]
        text = "not reported" if held is None else f"{held / 1e6:.1f}"
        return text if planned is None else f"{text} ({planned / 1e6:.1f})"

    return [_grid(found, "case", "contender", cell)]


def _grid(found: list[Record], row: str, column: str, cell: Callable[[Record], str]) -> str:
    """A table of records by two of their keys. Cells without a record are empty."""
    rows = dict.fromkeys(r[row] for r in found)
    columns = dict.fromkeys(r[column] for r in found)
    cells = {(r[row], r[column]): cell(r) for r in found}
    return _table(
        (row.replace("row", "case"), *columns),
        [(name, *(cells.get((name, c), "") for c in columns)) for name in rows],
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return NOTHING
    text = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        for row in text
    )
