"""What this installation is and what it can do."""

import importlib.metadata
import platform

import jax

from jlstm.config import Config
from jlstm.kernels.choice import implementations
from jlstm.kernels.library import instruction_set

PACKAGES = ("jlstm", "jax", "jaxlib", "flax", "optax", "safetensors", "numpy")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def show() -> None:
    """Prints versions, devices and implementations."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("package", "version")
    for name, version in versions().items():
        table.add_row(name, version)
    console.print(table)
    for device in jax.devices():
        console.print(f"device {device.id}: {device.platform}, {device.device_kind}")
    table = Table("implementation", "serves", "why not")
    for name, usable, reason in implementations(Config.stack(1, [1])):
        table.add_row(name, "yes" if usable else "no", reason)
    console.print(table)
    if (instructions := instruction_set()) is not None:
        console.print(f"the CPU kernels use {instructions}; JLSTM_CPU_ISA names a slower set")
