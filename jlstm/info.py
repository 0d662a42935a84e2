"""What this installation is and what it can do."""

import contextlib
import importlib.metadata
import os
import platform
import warnings
from typing import Any

import jax

from jlstm.config import Config
from jlstm.kernels.choice import implementations
from jlstm.kernels.cpu.library import instruction_set

PACKAGES = ("jlstm", "jax", "jaxlib", "flax", "optax", "safetensors", "numpy")
# What results on a TPU or GPU depend on beside those; a machine has few of them.
OF_CHIPS = (
    "libtpu", "jax-cuda12-plugin", "jax-cuda12-pjrt", "nvidia-cudnn-cu12", "jax-cuda13-plugin",
    "jax-cuda13-pjrt", "nvidia-cudnn-cu13",
)  # fmt: skip


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Versions of Python, of the packages that results depend on, and of OF_CHIPS what is there."""
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
    """The devices that JAX has here.

    Raises:
      ValueError: JAX cannot start; the message says what it said.
    """
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:
        # JAX asserts, without a word, where nothing is here of what JAX_PLATFORMS names.
        said = " ".join(str(error).split()) or "there is none of the devices that it is to use"
    asked = os.environ.get("JAX_PLATFORMS")
    mend = f"unset JAX_PLATFORMS, which is {asked!r}" if asked else "set JAX_PLATFORMS=cpu"
    raise ValueError(
        f"JAX cannot start: {said}; end another process if it holds the device, or {mend}"
    )


def show() -> None:
    """Prints versions, devices and implementations."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("package", "version")
    for name, version in versions().items():
        table.add_row(name, version)
    console.print(table)
    for device in devices():
        console.print(f"device {device.id}: {device.platform}, {device.device_kind}")
    table = Table("implementation", "serves", "why not")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the table gives the same reason
        rows = implementations(Config.stack(1, [1]))
    for name, usable, reason in rows:
        table.add_row(name, "yes" if usable else "no", reason)
    console.print(table)
    if (instructions := instruction_set()) is not None:
        console.print(f"the CPU kernels use {instructions}; JLSTM_CPU_ISA names a slower set")
