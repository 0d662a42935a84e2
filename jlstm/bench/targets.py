"""Chips to compile for: their names, and what compiling for them needs."""

import importlib.util
import math
import pathlib
import re

import jax

TPUS = ("v4", "v5e", "v5p", "v6e", "tpu7x")
# In slices of these chips, libtpu lists each of the two cores as a device.
_DEVICES_A_CHIP = {"v4": 2, "tpu7x": 2}
_SLICE = re.compile(r"[1-9][0-9]*(x[1-9][0-9]*){1,2}")


def device_count(target: str) -> int:
    """The number of devices of a target: 1 for "v5e", 4 for "v5e:2x2".

    Raises:
      ValueError: the target is not known, or the part after the colon is not the shape of a slice.
    """
    chip, colon, shape = target.partition(":")
    if chip not in (*TPUS, "h100"):
        raise ValueError(
            f"--target is {target!r}, which is not known; expected a TPU, one of "
            f"{', '.join(TPUS)}, or h100, the only GPU that is supported"
        )
    if not colon:
        return 1
    if chip == "h100":
        raise ValueError(f"--target is {target!r}, but an H100 has no slices; use 'h100'")
    if not _SLICE.fullmatch(shape):
        raise ValueError(
            f"--target is {target!r}; expected the shape of a slice after the colon: two or three "
            f"whole numbers of at least 1, such as '{chip}:2x2'; or '{chip}' for one chip"
        )
    return math.prod(int(n) for n in shape.split("x")) * _DEVICES_A_CHIP.get(chip, 1)


def missing(target: str) -> str | None:
    """What to install to compile for a target; None if nothing is missing."""
    if target != "h100":
        if _installed("libtpu"):
            return None
        return "compiling for a TPU needs libtpu: pip install '.[tpu]'"
    if toolkit() is None or not _installed("jax_plugins.xla_cuda13"):
        return (
            "compiling for an H100 needs JAX's CUDA plugin and ptxas: pip install "
            f"jax-cuda13-plugin=={jax.__version__} jax-cuda13-pjrt=={jax.__version__} "
            "nvidia-cuda-nvcc"
        )
    return None


def toolkit() -> pathlib.Path | None:
    """The folder in which NVIDIA's packages install bin/ptxas, the assembler that XLA calls."""
    found = importlib.util.find_spec("nvidia")
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (where := pathlib.Path(folder, "cu13")).joinpath("bin", "ptxas").exists():
            return where
    return None


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing too
        return False
