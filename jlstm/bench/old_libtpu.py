"""Workarounds to compile for a TPU without a chip on an older jax and libtpu."""

import re
from typing import Any

import jax

from jlstm.kernels.primitives.libtpu_form import installed

# The versions on Colab's TPUs in August 2026.
_JAX, _LIBTPU = "0.7.2", "0.0.21.1"
# The errors of libtpu and of JAX when libtpu is too old for a Pallas kernel.
_UNREADABLE = re.compile(r"Unsupported version: expected <= (\d+) but got (\d+)")
_TOO_OLD = "Pallas TPU requires a libtpu version that's at most a month old"


def adapt() -> None:
    """Makes this process compile for TPUs with jax 0.7.2 and libtpu 0.0.21.1.

    With any other versions it does nothing. It replaces a function of JAX for good, so call it only
    in a process that compiles and ends.
    """
    if (jax.__version__, installed()) != (_JAX, _LIBTPU):
        return
    from jax._src.interpreters import pxla

    def is_default_layout(*args: Any) -> bool:
        # jaxlib 0.7.2 crashes when it asks this libtpu for the layouts of a compiled program's
        # arguments and results. The worker does not run the program, so it needs none of them.
        return True

    pxla.is_default_layout = is_default_layout


def clash(stderr: str) -> str | None:
    """What to install if a compiler failed because libtpu is too old for this jax, or None.

    Args:
      stderr: the standard error of the process that compiled.
    """
    libtpu = f"libtpu {installed()}" if installed() else "the installed libtpu"
    if versions := _UNREADABLE.search(stderr):
        reads, writes = versions.groups()
        reason = (
            f"{libtpu} reads Pallas kernels up to version {reads} and jax {jax.__version__} writes "
            f"version {writes}"
        )
    elif _TOO_OLD in stderr:
        reason = f"{libtpu} is too old for the Pallas kernels of jax {jax.__version__}"
    else:
        return None
    return (
        f"{reason}; install the libtpu that this jax was tested with: "
        f"pip install 'jax[tpu]=={jax.__version__}'"
    )
