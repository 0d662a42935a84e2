"""The command `jlstm check`: contracts and timings of every implementation on this machine."""

import statistics
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import jlstm
from jlstm import info
from jlstm.check.contracts import CONTRACTS
from jlstm.kernels import choice, scan
from jlstm.kernels.choice import RefusedError

Contract = Callable[[str], float]
SIZES = ((100, 8, 256), (100, 32, 512), (50, 64, 1024))  # steps, batch, units and inputs
_ROUNDS = 5


class Outcome(NamedTuple):
    """The result of one contract on one implementation.

    Attributes:
      held: True if the contract held, or if the implementation refused the call.
      text: the largest difference, "refused", or a few words on the failure.
      details: the reason for a refusal, or the traceback of an error; otherwise "".
    """

    held: bool
    text: str
    details: str


def run() -> bool:
    """Prints the contracts' results and the times. Returns True if all held and were timed.

    Progress goes to standard error: a bar in a terminal, otherwise a line for each contract.
    """
    console, progress = Console(), _progress()
    found = ", ".join(f"{name} {version}" for name, version in info.versions().items())
    device = jax.devices()[0]
    console.print(f"{found}\n{len(jax.devices())} x {device.device_kind} ({device.platform})")
    plain = jlstm.Config.stack(5, [20])
    names = columns(plain)
    for name, usable, reason in jlstm.implementations(plain):
        if not usable:
            console.print(f"{name} is not available here: {reason}", highlight=False)
    table = Table(
        "contract",
        *names,
        "allowed",
        title="largest difference from the expected result",
        caption="docs/semantics.md explains the contracts by their numbers.",
    )
    held = True
    with progress:
        bar = progress.add_task("", total=len(CONTRACTS) + len(SIZES))
        for contract, allowed in CONTRACTS:
            _begin(progress, bar, f"contract {summary(contract)}")
            cells = [tried(contract, name, allowed) for name in names]
            held = held and all(cell.held for cell in cells)
            table.add_row(summary(contract), *(cell.text for cell in cells), difference(allowed))
            progress.advance(bar)
        times, timed = _times(names, console, progress, bar)
    console.print(table)
    console.print(times)
    console.print("All contracts hold." if held else "Some contracts do NOT hold; see above.")
    if not timed:
        console.print("Some calls could NOT be timed; see above.")
    return held and timed


def summary(contract: Contract) -> str:
    """The contract's promise, in one line."""
    return (contract.__doc__ or "").strip()


def columns(config: jlstm.Config) -> list[str]:
    """The names of the implementations that can run `config` here.

    "auto" comes first, unless it would always choose the first implementation.
    """
    names = [name for name, usable, _ in jlstm.implementations(config) if usable]
    whole = [i.name for i in choice.IMPLEMENTATIONS if not i.lacks and i.run is not scan.run]
    return names if names[0] in whole else ["auto", *names]


def tried(contract: Contract, name: str, allowed: float) -> Outcome:
    """Tests one contract on one implementation.

    Args:
      contract: one of CONTRACTS.
      name: the name of the implementation.
      allowed: the largest difference that rounding explains.
    """
    try:
        # Low-precision matrix products would hide small faults.
        with jax.default_matmul_precision("highest"):
            off = contract(name)
    except RefusedError as error:  # as cuDNN does resets; "auto" picks another for them
        return Outcome(True, "refused", str(error))
    except Exception as error:  # a platform's compiler may raise anything
        said = (str(error).splitlines() or [""])[0][:80]
        return Outcome(False, f"FAILED: {type(error).__name__}: {said}", traceback.format_exc())
    if off <= allowed:
        return Outcome(True, difference(off), "")
    return Outcome(False, f"FAILED: {off:.1e} > {allowed:.0e}", "")


def difference(off: float) -> str:
    """A difference with one digit.

    >>> difference(0.0), difference(1.2e-5)
    ('0', '1e-05')
    """
    return f"{off:.0e}" if off else "0"


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (BarColumn(16), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _begin(progress: Progress, bar: Any, what: str) -> None:
    progress.update(bar, description=what)
    if not progress.console.is_terminal:
        progress.console.print(what, markup=False, highlight=False, soft_wrap=True)


def _times(names: list[str], console: Console, progress: Progress, bar: Any) -> tuple[Table, bool]:
    """The table of times, and True if nothing failed. A failure is printed; other calls go on."""
    table = Table(
        "T, B, H", "mode", *names, title="milliseconds a call, median of interleaved rounds"
    )
    good = True
    for steps, batch, units in SIZES:
        _begin(progress, bar, f"times of T {steps}, B {batch}, H {units}")
        config = jlstm.Config.stack(units, [units])
        params = jlstm.init(jax.random.key(0), config)
        xs = jnp.ones((steps, batch, units))
        for mode in ("forward", "training"):
            row = f"{steps}, {batch}, {units}", mode
            calls = {name: _call(config, mode, name) for name in names}
            taken: dict[str, list[float]] = {name: [] for name in names}
            cells: dict[str, str] = {}
            for n in range(_ROUNDS + 1):
                for name, call in tuple(calls.items()):
                    start = time.perf_counter()
                    try:
                        jax.block_until_ready(call(params, xs))
                    except RefusedError:  # for example, the layer does not fit the chip
                        cells[name] = "refused"
                    except Exception as error:  # as in `tried`
                        cells[name], good = "failed", False
                        said = f"{name} failed: {type(error).__name__}: {error}"
                        console.print(*row, said, sep=", ", markup=False, highlight=False)
                    if name in cells:
                        del calls[name]
                    elif n:  # the first round compiles
                        taken[name].append(time.perf_counter() - start)
            for name in calls:
                cells[name] = f"{1e3 * statistics.median(taken[name]):.2f}"
            table.add_row(*row, *(cells[name] for name in names))
        progress.advance(bar)
    return table, good


def _call(config: jlstm.Config, mode: str, name: str) -> Any:
    def forward(params: Any, xs: jax.Array) -> jax.Array:
        return jlstm.apply(config, params, None, xs, implementation=name)[1]

    if mode == "forward":
        return jax.jit(forward)
    return jax.jit(jax.grad(lambda params, xs: jnp.sum(jnp.square(forward(params, xs))), (0, 1)))
