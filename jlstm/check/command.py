"""jlstm check: the contracts and a few times, on every implementation that this machine has."""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

import jlstm
from jlstm import info
from jlstm.check.contracts import CONTRACTS
from jlstm.kernels import choice, scan
from jlstm.kernels.choice import RefusedError

SIZES = ((100, 8, 256), (100, 32, 512), (50, 64, 1024))  # steps, batch, units and inputs
_ROUNDS = 5


def run() -> bool:
    """Prints what holds and how long calls take; whether everything held."""
    console = Console()
    found = ", ".join(f"{name} {version}" for name, version in info.versions().items())
    device = jax.devices()[0]
    console.print(f"{found}\n{len(jax.devices())} x {device.device_kind} ({device.platform})")
    plain = jlstm.Config.stack(5, [20])
    names = columns(plain)
    for name, usable, reason in jlstm.implementations(plain):
        if not usable:
            console.print(f"{name} does not serve here: {reason}", highlight=False)
    table = Table("contract", *names, title="largest difference from what it should be")
    held = True
    with jax.default_matmul_precision("highest"):
        for contract, allowed in CONTRACTS:
            cells = [_tried(contract, name, allowed) for name in names]
            held = held and all(good for good, _ in cells)
            summary = (contract.__doc__ or "").strip()
            table.add_row(summary, *(text for _, text in cells))
            console.print(f"checked {contract.__name__.replace('_', ' ')}", highlight=False)
    console.print(table)
    times, timed = _times(names, console)
    console.print(times)
    console.print("All contracts hold." if held else "Some contracts do NOT hold; see above.")
    if not timed:
        console.print("Some calls could NOT be timed; see above.")
    return held and timed


def columns(config: jlstm.Config) -> list[str]:
    """The implementations that serve a network here; "auto" too, unless it is always the first."""
    names = [name for name, usable, _ in jlstm.implementations(config) if usable]
    whole = [i.name for i in choice.IMPLEMENTATIONS if not i.lacks and i.run is not scan.run]
    return names if names[0] in whole else ["auto", *names]


def _tried(contract: Any, name: str, allowed: float) -> tuple[bool, str]:
    try:
        off = contract(name)
    except RefusedError:  # as cuDNN does a call with resets, which "auto" then hands to another
        return True, "refused"
    except Exception as error:  # whatever a platform's compiler raises is a finding of its own
        return False, f"FAILED: {type(error).__name__}: {str(error).splitlines()[0][:80]}"
    good = off <= allowed
    return good, f"{off:.0e}" if good else f"FAILED: {off:.1e} > {allowed:.0e}"


def _times(names: list[str], console: Console) -> tuple[Table, bool]:
    """The table, and whether nothing failed; what does is printed, and the others go on."""
    table = Table(
        "T, B, H", "mode", *names, title="milliseconds a call, median of interleaved rounds"
    )
    good = True
    for steps, batch, units in SIZES:
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
                    except RefusedError:  # as a kernel does a layer that its chip has no room for
                        cells[name] = "refused"
                    except Exception as error:  # a finding, as it is of a contract
                        cells[name], good = "failed", False
                        said = f"{name} failed: {type(error).__name__}: {error}"
                        console.print(*row, said, sep=", ", markup=False, highlight=False)
                    if name in cells:
                        del calls[name]
                    elif n:  # the first compiles
                        taken[name].append(time.perf_counter() - start)
            for name in calls:
                cells[name] = f"{1e3 * statistics.median(taken[name]):.2f}"
            table.add_row(*row, *(cells[name] for name in names))
    return table, good


def _call(config: jlstm.Config, mode: str, name: str) -> Any:
    def forward(params: Any, xs: jax.Array) -> jax.Array:
        return jlstm.apply(config, params, None, xs, implementation=name)[1]

    if mode == "forward":
        return jax.jit(forward)
    return jax.jit(jax.grad(lambda params, xs: jnp.sum(jnp.square(forward(params, xs))), (0, 1)))
