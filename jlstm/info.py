"""Versions, devices and available implementations of this installation: `jlstm info`."""

import contextlib
import importlib.metadata
import os
import platform
import warnings
from typing import Any

import jax

from jlstm import terminal
from jlstm.config import Config
from jlstm.kernels.choice import implementations
from jlstm.kernels.cpu.library import instruction_set

PACKAGES = ("jlstm", "jax", "jaxlib", "flax", "optax", "safetensors", "numpy")
# Packages that results on a TPU or GPU depend on too. A machine has few of them.
OF_CHIPS = (
    "libtpu", "jax-cuda12-plugin", "jax-cuda12-pjrt", "nvidia-cudnn-cu12", "jax-cuda13-plugin",
    "jax-cuda13-pjrt", "nvidia-cudnn-cu13",
)  # fmt: skip


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Versions of Python, of `packages`, and of those packages in OF_CHIPS that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    for name in OF_CHIPS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def devices() -> list[Any]:
    """The devices that JAX finds on this machine.

    Raises:
      ValueError: JAX cannot start; the message includes JAX's own.
    """
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:
        # JAX raises an AssertionError without a message if no platform of JAX_PLATFORMS is found.
        said = " ".join(str(error).split()) or "this machine has no device of the given platforms"
    asked = os.environ.get("JAX_PLATFORMS")
    mend = f"unset JAX_PLATFORMS, which is {asked!r}" if asked else "set JAX_PLATFORMS=cpu"
    raise ValueError(
        f"JAX cannot start: {said}; end any other process that uses the device, or {mend}"
    )


def machine() -> dict[str, Any]:
    """Versions, devices and implementations, as `jlstm info --json` prints them.

    Raises:
      ValueError: JAX cannot start.
    """
    present = devices()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the reasons below are the same
        rows = implementations(Config.stack(1, [1]))
    return {
        "versions": versions(),
        "devices": [
            {"id": device.id, "platform": device.platform, "kind": device.device_kind}
            for device in present
        ],
        "implementations": [
            {"name": name, "usable": usable, "reason": reason} for name, usable, reason in rows
        ],
        "cpu_instructions": instruction_set(),
    }


def show(*, as_json: bool = False) -> None:
    """Prints versions, devices and implementations.

    Args:
      as_json: print one line of JSON instead of tables.
    """
    of_machine = machine()
    if as_json:
        terminal.say_json(of_machine)
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("package", "version")
    for name, version in of_machine["versions"].items():
        table.add_row(name, version)
    console.print(table)
    for device in of_machine["devices"]:
        console.print(f"device {device['id']}: {device['platform']}, {device['kind']}")
    table = Table("implementation", "usable", "why not")
    for each in of_machine["implementations"]:
        table.add_row(each["name"], "yes" if each["usable"] else "no", each["reason"])
    console.print(table)
    if (instructions := of_machine["cpu_instructions"]) is not None:
        console.print(
            f"the CPU kernels use {instructions}; set JLSTM_CPU_ISA to choose a slower set"
        )
