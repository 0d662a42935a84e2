"""Checks that contenders compute the same results. Only those that do are timed."""

import numpy as np

from jlstm.bench.problem import Seen

# The largest difference that rounding explains, relative to the largest value. TensorFloat-32
# rounds the operands of products to 11 significant bits, as many as float16 has.
TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "tfloat32": 0.03, "float16": 0.03, "bfloat16": 0.1}


def coarser(dtype: str, rounding: str) -> str:
    """The coarser of two formats; `dtype` if `rounding` is "".

    >>> coarser("float32", "tfloat32"), coarser("bfloat16", "tfloat32"), coarser("float32", "")
    ('tfloat32', 'bfloat16', 'float32')
    """
    return max(dtype, rounding or dtype, key=lambda name: TOLERANCE[name])


def fault(seen: Seen) -> str:
    """Says which of the values are not finite; "" if all are."""
    for name, a in seen.items():
        if not np.isfinite(np.asarray(a, "float64")).all():
            return f"its {name} are not all finite numbers"
    return ""


def disagreement(expected: Seen, seen: Seen, rounding: str) -> str:
    """Says where `seen` differs from `expected` by more than rounding explains; "" if nowhere.

    Args:
      expected, seen: the results of two contenders.
      rounding: the coarser of the formats that they compute in, a key of TOLERANCE.
    """
    for name, a in expected.items():
        if name not in seen:
            return f"it returned no {name}"
        b = seen[name]
        if a.shape != b.shape:
            return f"its {name} have shape {list(b.shape)}, not {list(a.shape)}"
        a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
        error = np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), 1e-30)
        if not error <= TOLERANCE[rounding]:
            return (
                f"its {name} differ by {error:.1e} of the largest value; {TOLERANCE[rounding]:g} "
                f"is allowed in {rounding}"
            )
    return ""
