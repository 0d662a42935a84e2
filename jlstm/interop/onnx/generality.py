"""Whether what an ONNX node computes from some numbers and sizes shows what it does to all."""

from collections.abc import Sequence
from typing import Any

import numpy as np

CONSTANT, OF_SIZES, OF_NUMBERS = range(3)  # what a value depends on
_ENDLESS = 2**31 - 1  # from this bound on, a slice goes to the end of any axis


def general(kind: str, given: Sequence[np.ndarray | None], made: Any, depends: int) -> bool:
    """Whether a computed node that agrees here with another function agrees with it everywhere.

    Sums and products that agree for random numbers do. Functions with cases need not: they may
    hold only for these numbers and sizes.

    Args:
      kind: the operator.
      given, made: its inputs, and its first output.
      depends: what the inputs depend on: CONSTANT, OF_SIZES or OF_NUMBERS.
    """
    if kind in ("Where", "ReverseSequence"):
        return depends != OF_NUMBERS
    if kind == "Equal":  # a size is never equal to the -1 that stands for "the same size"
        negative = any(a is not None and a.dtype.kind == "i" and (a < 0).all() for a in given)
        return depends == CONSTANT or (depends == OF_SIZES and negative)
    if kind in ("Cast", "CastLike") and depends == OF_NUMBERS:
        before, after = given[0], made
        if before is None or after.dtype.kind not in "iuf":
            return False
        return after.dtype.kind == "f" or (before.dtype.kind in "iu" and after.dtype.itemsize >= 4)
    return True


def slice_is_general(named: dict[str, Any], given: Sequence[np.ndarray | None]) -> bool:
    """Whether a Slice does to axes of any size what it does to these.

    A slice of the first or the last 100 changes nothing here, but cuts longer sequences.
    """
    data, *rest = given
    starts = named["starts"][1] if "starts" in named else rest[0]
    ends = named["ends"][1] if "ends" in named else rest[1]
    axes = named["axes"][1] if "axes" in named else rest[2] if len(rest) > 2 else None
    if data is None or starts is None or ends is None:
        return False
    axes = range(np.size(ends)) if axes is None else axes
    return all(
        abs(int(bound)) <= data.shape[axis] or abs(int(bound)) >= _ENDLESS
        for bounds in (starts, ends)
        for bound, axis in zip(np.ravel(bounds), np.ravel(axes), strict=False)
        if -data.ndim <= axis < data.ndim
    )
