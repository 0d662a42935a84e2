"""Whether contenders compute the same thing, which comes before how fast they do."""

from typing import Any

import jax
import numpy as np

from jlstm.config import Config
from jlstm.params import Params

# Largest difference that rounding explains, as a share of the largest value.
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1, "float64": 1e-9}


# What a contender computed: arrays by what they are called in messages.
Seen = dict[str, np.ndarray]


def mean_square(ys: jax.Array) -> jax.Array:
    """The loss that everything is differentiated of, in float32 at least."""
    return (ys.astype(np.promote_types(ys.dtype, "float32")) ** 2).mean()


def values(peer: Any, config: Config, params: Params, xs: jax.Array) -> Seen:
    """Outputs, and the gradients of `mean_square` for the input and for `params`.

    The gradient for the parameters goes through the contender's own way of taking them over, and
    so has this library's form whatever the contender's is.
    """

    def of(params: Params, xs: jax.Array) -> tuple[jax.Array, jax.Array]:
        weights, forward = peer.forward(config, params)
        ys = forward(weights, xs)
        return mean_square(ys), ys

    (_, ys), (of_params, of_xs) = jax.jit(jax.value_and_grad(of, (0, 1), has_aux=True))(params, xs)
    seen = {"outputs": ys, "gradients for the input": of_xs}
    for path, leaf in jax.tree_util.tree_leaves_with_path(of_params):
        seen["gradients for " + jax.tree_util.keystr(path, simple=True, separator=".")] = leaf
    return {name: np.asarray(a, "float64") for name, a in seen.items()}


def fault(seen: Seen) -> str:
    """What is wrong with values by themselves; "" if nothing is."""
    for name, a in seen.items():
        if not np.isfinite(a).all():
            return f"its {name} are not all finite numbers"
    return ""


def disagreement(expected: Seen, seen: Seen, dtype: str) -> str:
    """Where `seen` departs from `expected` by more than rounding in `dtype`; "" if nowhere."""
    for name, a in expected.items():
        b = seen[name]
        if a.shape != b.shape:
            return f"its {name} have shape {list(b.shape)}, not {list(a.shape)}"
        error = np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), 1e-30)
        if not error <= TOLERANCE[dtype]:
            return (
                f"its {name} differ by {error:.1e} of the largest; {TOLERANCE[dtype]:g} is allowed "
                f"in {dtype}"
            )
    return ""
