"""Whether contenders compute the same thing, which comes before how fast they do."""

import numpy as np

from jlstm.bench.problem import Seen

# Largest difference that rounding explains, as a share of the largest value.
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1, "float64": 1e-9}


def fault(seen: Seen) -> str:
    """What is wrong with values by themselves; "" if nothing is."""
    for name, a in seen.items():
        if not np.isfinite(np.asarray(a, "float64")).all():
            return f"its {name} are not all finite numbers"
    return ""


def disagreement(expected: Seen, seen: Seen, dtype: str) -> str:
    """Where `seen` departs from `expected` by more than rounding in `dtype`; "" if nowhere."""
    for name, a in expected.items():
        if name not in seen:
            return f"it gave no {name}"
        b = seen[name]
        if a.shape != b.shape:
            return f"its {name} have shape {list(b.shape)}, not {list(a.shape)}"
        a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
        error = np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), 1e-30)
        if not error <= TOLERANCE[dtype]:
            return (
                f"its {name} differ by {error:.1e} of the largest; {TOLERANCE[dtype]:g} is allowed "
                f"in {dtype}"
            )
    return ""
