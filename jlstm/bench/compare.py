"""One case, all contenders: agree first, then be timed."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.bench.cases import Case
from jlstm.bench.peers import UnsupportedError, flax_linen, flax_nnx, ours, scan
from jlstm.bench.timing import Timing, measure
from jlstm.params import init

CONTENDERS = {"jlstm": ours, "scan by hand": scan, "flax linen": flax_linen, "flax nnx": flax_nnx}
MODES = ("forward", "training")


class Outcome(NamedTuple):
    """What came of a case.

    Attributes:
      timings: (contender, mode) -> Timing.
      left_out: contender -> why it was not timed.
    """

    timings: dict[tuple[str, str], Timing]
    left_out: dict[str, str]


def compare(
    case: Case,
    seconds: float,
    advance: Callable[[str], None],
    contenders: dict[str, ModuleType | Any] = CONTENDERS,
) -> Outcome:
    """Times every contender that gives this library's outputs and gradients on the case.

    Args:
      case: network and shape.
      seconds: steady-state seconds of each mode.
      advance: called with the name of each contender compiled.
      contenders: name -> module or object with `forward(config, params)`; the first is the
        one that the others have to agree with.
    """
    params = init(jax.random.key(0), case.config)
    shape = (case.shape.time_steps, case.shape.batch_size, case.config.input_size)
    xs = jax.random.normal(jax.random.key(1), shape, case.config.dtype)
    programs: dict[str, dict[str, Any]] = {mode: {} for mode in MODES}
    left_out, expected = {}, None
    for name, peer in contenders.items():
        try:
            weights, forward = peer.forward(case.config, params)
        except UnsupportedError as reason:
            left_out[name] = str(reason)
            continue
        seen = _values(forward, weights, xs)
        expected = expected or seen
        disagreement = _disagreement(expected, seen)
        if disagreement:
            left_out[name] = disagreement
            continue
        programs["forward"][name] = (forward, (weights, xs))
        programs["training"][name] = (_training(forward), (weights, xs))
    timings = {}
    for mode in MODES:
        for name, timing in measure(programs[mode], seconds, advance).items():
            timings[name, mode] = timing
    return Outcome(timings, left_out)


def _training(forward: Callable[..., jax.Array]) -> Callable[..., Any]:
    def loss(weights: Any, xs: jax.Array) -> jax.Array:
        return (forward(weights, xs).astype("float32") ** 2).mean()

    return jax.value_and_grad(loss, argnums=(0, 1))


def _values(forward: Callable[..., jax.Array], weights: Any, xs: jax.Array) -> tuple[Any, Any]:
    """Outputs, and the gradient for the input, which all have in the same form."""
    ys = jax.jit(forward)(weights, xs)
    return np.asarray(ys, "float64"), np.asarray(
        jax.jit(_training(forward))(weights, xs)[1][1], "float64"
    )


def _disagreement(expected: tuple[Any, Any], seen: tuple[Any, Any]) -> str:
    for what, a, b in zip(("outputs", "gradients"), expected, seen, strict=True):
        if a.shape != b.shape:
            return f"{what} have shape {b.shape}, not {a.shape}"
        error = float(np.abs(a - b).max() / max(float(jnp.abs(a).max()), 1e-30))
        if not error < 1e-4:
            return f"{what} differ by {error:.1e} of the largest"
    return ""
