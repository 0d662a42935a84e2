"""One contract on one implementation: whether it held, by how much, or why not."""

import math
import traceback
from collections.abc import Callable
from typing import NamedTuple

import jax

from jlstm.kernels.choice import RefusedError

Contract = Callable[[str], float]


class Outcome(NamedTuple):
    """The result of one contract on one implementation.

    Attributes:
      held: True if the contract held, or if the implementation refused the call.
      text: the largest difference, "refused", or a few words on the failure.
      details: the reason for a refusal, or the traceback of an error; otherwise "".
      difference: the largest difference; None after a refusal or an error, or if it is not finite.
    """

    held: bool
    text: str
    details: str
    difference: float | None = None

    @property
    def reason(self) -> str:
        """Why there is no difference, or why it is too large. "" if the contract held."""
        if not self.held:
            return self.text
        return f"{self.text}: {self.details}" if self.details else ""


def summary(contract: Contract) -> str:
    """The contract's promise, in one line."""
    return (contract.__doc__ or "").strip()


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
        return Outcome(True, difference(off), "", off)
    return Outcome(
        False, f"FAILED: {off:.1e} > {allowed:.0e}", "", off if math.isfinite(off) else None
    )


def difference(off: float) -> str:
    """A difference with one digit.

    >>> difference(0.0), difference(1.2e-5)
    ('0', '1e-05')
    """
    return f"{off:.0e}" if off else "0"
