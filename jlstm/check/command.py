"""The command `jlstm check`: contracts and timings of every implementation on this machine."""

import pathlib
from typing import Any

import jax
from rich.console import Console
from rich.table import Table
from rich.text import Text

import jlstm
from jlstm import info, progress, terminal
from jlstm.check.contracts import CONTRACTS
from jlstm.check.timing import Size, Time, times
from jlstm.check.trial import Contract, Outcome, difference, summary, tried
from jlstm.kernels import choice, scan

Trials = list[tuple[Contract, float, dict[str, Outcome]]]
Times = list[tuple[Size, str, dict[str, Time]]]
# The section of the documentation that explains the contracts: a file of the checkout, a heading.
PAGE, SECTION = "docs/semantics.md", "the-contracts"
SIZES = (Size(100, 8, 256), Size(100, 32, 512), Size(50, 64, 1024))
MODES = ("forward", "training")


def run(*, as_json: bool = False) -> bool:
    """Prints the contracts' results and the times. Returns True if all held and were timed.

    Progress goes to standard error: a bar in a terminal, otherwise a line for each contract.

    Args:
      as_json: print one line of JSON instead of tables.
    """
    console = Console(quiet=as_json)
    plain = jlstm.Config.stack(5, [20])
    names = columns(plain)
    _head(console, plain)
    trials: Trials = []
    timings: Times = []
    with progress.shown(len(CONTRACTS) + len(SIZES)) as bar:
        for contract, allowed in CONTRACTS:
            bar.begin(f"contract {summary(contract)}")
            of_each = {name: tried(contract, name, allowed) for name in names}
            trials.append((contract, allowed, of_each))
            bar.advance()
        for size in SIZES:
            steps, batch, units = size
            bar.begin(f"times of {steps} steps, batch {batch}, {units} units")
            for mode in MODES:
                timings.append((size, mode, times(size, mode, names)))
                with bar.cleared():
                    _failures(console, *timings[-1])
            bar.advance()
    held = all(each.held for _, _, of_each in trials for each in of_each.values())
    timed = all(each.text != "failed" for _, _, of_each in timings for each in of_each.values())
    if as_json:
        terminal.say_json(
            info.machine()
            | {"contracts_hold": held, "all_timed": timed}
            | {"contracts": _contract_records(trials), "times": _time_records(timings)}
        )
    console.print(_contract_table(names, trials))
    console.print(_explanation(), soft_wrap=True)
    console.print(_time_table(names, timings))
    console.print("All contracts hold." if held else "Some contracts do NOT hold; see above.")
    if not timed:
        console.print("Some calls could NOT be timed; see above.")
    return held and timed


def columns(config: jlstm.Config) -> list[str]:
    """The names of the implementations that can run `config` here.

    "auto" comes first, unless it would always choose the first implementation.
    """
    names = [name for name, usable, _ in jlstm.implementations(config) if usable]
    whole = [i.name for i in choice.IMPLEMENTATIONS if not i.lacks and i.run is not scan.run]
    return names if names[0] in whole else ["auto", *names]


def _head(console: Console, config: jlstm.Config) -> None:
    packages = ", ".join(f"{name} {version}" for name, version in info.versions().items())
    device = jax.devices()[0]
    console.print(f"{packages}\n{len(jax.devices())} x {device.device_kind} ({device.platform})")
    for name, usable, reason in jlstm.implementations(config):
        if not usable:
            console.print(f"{name} is not available here: {reason}", highlight=False)


def _failures(console: Console, size: Size, mode: str, of_each: dict[str, Time]) -> None:
    for name, time in of_each.items():
        if time.text == "failed":
            said = f"{name} {time.reason}"
            console.print(*size, mode, said, sep=", ", markup=False, highlight=False)


def _contract_table(names: list[str], found: Trials) -> Table:
    table = Table(
        "contract",
        *names,
        "allowed",
        title="largest difference from the expected result",
    )
    for contract, allowed, of_each in found:
        cells = (of_each[name].text for name in names)
        table.add_row(summary(contract), *cells, difference(allowed))
    return table


def _explanation() -> Text:
    """A line with the page of the contracts. In a terminal the page can be clicked, if it is there.

    The page is there in a checkout. An installed wheel has no documentation.
    """
    file = pathlib.Path(jlstm.__file__).parents[1] / PAGE
    link = f"link {file.as_uri()}" if file.exists() else ""
    return Text.assemble((f"{PAGE}#{SECTION}", link), " explains the contracts by their numbers.")


def _time_table(names: list[str], found: Times) -> Table:
    table = Table("steps, batch, units", "mode", *names, title="median milliseconds per call")
    for size, mode, of_each in found:
        row = ", ".join(map(str, size))
        table.add_row(row, mode, *(of_each[name].text for name in names))
    return table


def _contract_records(found: Trials) -> list[dict[str, Any]]:
    return [
        {
            "contract": summary(contract),
            "implementation": name,
            "held": outcome.held,
            "difference": outcome.difference,
            "allowed": allowed,
            "reason": outcome.reason,
        }
        for contract, allowed, of_each in found
        for name, outcome in of_each.items()
    ]


def _time_records(found: Times) -> list[dict[str, Any]]:
    return [
        {
            **size._asdict(),
            "mode": mode,
            "implementation": name,
            "milliseconds": time.milliseconds,
            "reason": time.reason,
        }
        for size, mode, of_each in found
        for name, time in of_each.items()
    ]
