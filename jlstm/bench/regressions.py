"""Compares two runs: what became slower or faster, by how much, and whether beyond noise."""

from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jlstm.bench.record_fields import Record
from jlstm.bench.statistics import Estimate, change
from jlstm.bench.statistics import ratio as paired
from jlstm.validation import printable

# Two runs of one program on one machine may differ by this much, even if rounds within a run agree.
FLOOR = 0.03


class Change(NamedTuple):
    """One contender, case and mode in two runs.

    Attributes:
      case, mode, contender: their names.
      ratio: new seconds divided by old seconds.
      verdict: "slower", "faster", or "" if the difference is within noise.
    """

    case: str
    mode: str
    contender: str
    ratio: Estimate
    verdict: str


def changes(new: list[Record], old: list[Record]) -> list[Change]:
    """The changes of all measurements that both runs have.

    A change is beyond noise if the whole interval of the ratio is further from 1 than 3 %, and than
    the change of the machine itself between the runs, which its two ceilings show.
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
    """For each case and mode, the fastest contender and those that tie with it.

    A contender ties if the interval of its time divided by the fastest time reaches below 1.03.
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
    """The largest relative change of the machine's ceilings between two runs."""
    ratios = [new["ceilings"][name] / old["ceilings"][name] for name in new["ceilings"]]
    return max(max(r, 1 / r) - 1 for r in ratios)


def show(console: Console, new: list[Record], old: list[Record]) -> None:
    """Prints the changes beyond noise, and how many measurements are within noise."""
    found = changes(new, old)
    if not found:
        console.print("The earlier records have no measurement in common with this run.")
        return
    beyond = sorted((c for c in found if c.verdict), key=lambda c: -c.ratio.median)
    if beyond:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="since the earlier run")
        for heading in ("case", "mode", "contender", "", "times", "interval"):
            table.add_column(heading)
        for c in beyond:
            interval = f"{c.ratio.low:.2f} to {c.ratio.high:.2f}"
            times = f"{c.ratio.median:.2f}"
            names = (Text(printable(name)) for name in (c.case, c.mode, c.contender))
            table.add_row(*names, c.verdict, times, interval)
        console.print(table)
    now, then = leaders(new), leaders(old)
    both = [key for key in now if key in then]
    same = sum(bool(now[key] & then[key]) for key in both)
    console.print(f"The two runs agree on who is fastest in {same} of {len(both)} cases and modes.")
    within = len(found) - len(beyond)
    console.print(f"{within} of {len(found)} measurements are within noise of the earlier run.")


def _key(record: Record) -> tuple[str, ...]:
    # The other modes of the case do not matter.
    shape = {name: value for name, value in record["shape"].items() if name != "modes"}
    same = ("case", "mode", "contender", "config", "threads")
    return (*(str(record[name]) for name in same), str(shape))
