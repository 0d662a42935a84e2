"""What got slower since an earlier run, by how much, and whether that is beyond noise."""

from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from jlstm.bench.records import Record
from jlstm.bench.statistics import Estimate, change
from jlstm.bench.statistics import ratio as paired

# Two runs of one program on one machine may differ by this much even where their rounds do not.
FLOOR = 0.03


class Change(NamedTuple):
    """One contender, case and mode in two runs.

    Attributes:
      case, mode, contender: which.
      ratio: new seconds over old.
      verdict: "slower", "faster", or "" where the difference is within noise.
    """

    case: str
    mode: str
    contender: str
    ratio: Estimate
    verdict: str


def changes(new: list[Record], old: list[Record]) -> list[Change]:
    """All that both runs measured.

    A change is beyond noise if the whole interval of the ratio lies further from 1 than the
    machine itself changed between the runs, as its two ceilings show, and than 3 %.
    """
    before = {_key(record): record for record in old if "rounds_s" in record}
    found = []
    for record in new:
        other = before.get(_key(record))
        if other is None or "rounds_s" not in record:
            continue
        ratio = change(record["rounds_s"], other["rounds_s"])
        noise = max(FLOOR, drift(record, other))
        verdict = "slower" if ratio.low > 1 + noise else ""
        verdict = "faster" if ratio.high < 1 / (1 + noise) else verdict
        found.append(Change(record["case"], record["mode"], record["contender"], ratio, verdict))
    return found


def leaders(records: list[Record]) -> dict[tuple[str, str], set[str]]:
    """For each case and mode the fastest contender, and those that noise does not tell from it.

    Such a one's time over the fastest's has an interval that reaches below 1.03.
    """
    found: dict[tuple[str, str], set[str]] = {}
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if "rounds_s" in record:
            groups.setdefault((record["case"], record["mode"]), []).append(record)
    for key, group in groups.items():
        first = min(group, key=lambda r: r["median_s"])
        found[key] = {
            r["contender"]
            for r in group
            if r is first or paired(r["rounds_s"], first["rounds_s"]).low < 1 + FLOOR
        }
    return found


def drift(new: Record, old: Record) -> float:
    """By what share the machine's own speed changed between two runs, at most."""
    ratios = [new["ceilings"][name] / old["ceilings"][name] for name in new["ceilings"]]
    return max(max(r, 1 / r) - 1 for r in ratios)


def show(console: Console, new: list[Record], old: list[Record]) -> None:
    """Prints what changed beyond noise, and how much did not."""
    found = changes(new, old)
    if not found:
        console.print("The earlier records hold none of what was measured now.")
        return
    beyond = sorted((c for c in found if c.verdict), key=lambda c: -c.ratio.median)
    if beyond:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="since the earlier run")
        for heading in ("case", "mode", "contender", "", "times", "interval"):
            table.add_column(heading)
        for c in beyond:
            interval = f"{c.ratio.low:.2f} to {c.ratio.high:.2f}"
            times = f"{c.ratio.median:.2f}"
            table.add_row(c.case, c.mode, c.contender, c.verdict, times, interval)
        console.print(table)
    now, then = leaders(new), leaders(old)
    both = [key for key in now if key in then]
    same = sum(bool(now[key] & then[key]) for key in both)
    console.print(f"The two runs agree on who is fastest in {same} of {len(both)} cases and modes.")
    within = len(found) - len(beyond)
    console.print(f"{within} of {len(found)} measurements are within noise of the earlier run.")


def _key(record: Record) -> tuple[str, ...]:
    # What else was measured of the case does not matter.
    shape = {name: value for name, value in record["shape"].items() if name != "modes"}
    same = ("case", "mode", "contender", "config", "threads")
    return (*(str(record[name]) for name in same), str(shape))
