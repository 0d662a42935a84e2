"""One case, all contenders: agree first, then be timed."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from jlstm.bench import agreement
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
    progress: Callable[[str, float], None],
    contenders: Mapping[str, Any] = CONTENDERS,
) -> Outcome:
    """Times every contender that gives the first one's outputs and gradients on the case.

    Args:
      case: network and shape.
      seconds: steady-state seconds of each mode.
      progress: called with what has just been done, and what share of the whole case that was.
      contenders: name -> module or object with `forward(config, params)`, see `peers`. The first,
        this library, is what the others have to agree with; if it gives values that are no
        numbers, nothing is timed.
    """
    params = init(jax.random.key(0), case.config)
    shape = (case.shape.time_steps, case.shape.batch_size, case.config.input_size)
    xs = jax.random.normal(jax.random.key(1), shape, case.config.dtype)
    left_out: dict[str, str] = {}
    agreed: dict[str, Any] = {}
    first, expected = next(iter(contenders)), None
    for name, peer in contenders.items():
        progress(f"{name} agrees?", 0.3 / len(contenders))
        try:
            seen = agreement.values(peer, case.config, params, xs)
        except UnsupportedError as reason:
            left_out[name] = str(reason)
            continue
        expected = seen if name == first else expected
        if first in left_out or expected is None:
            left_out[name] = f"nothing to agree with, as {first} was left out"
        elif fault := agreement.fault(seen):
            left_out[name] = fault
        elif difference := agreement.disagreement(expected, seen, case.config.dtype):
            left_out[name] = f"does not agree with {first}: {difference}"
        else:
            agreed[name] = peer.forward(case.config, params)
    timings = {}
    for mode in MODES:
        programs = {
            name: (_training(forward) if mode == "training" else forward, (weights, xs))
            for name, (weights, forward) in agreed.items()
        }

        def step(done: str, share: float, mode: str = mode) -> None:
            progress(f"{mode}, {done}", share * 0.7 / len(MODES))

        for name, timing in measure(programs, seconds, step).items():
            timings[name, mode] = timing
    return Outcome(timings, left_out)


def _training(forward: Callable[..., jax.Array]) -> Callable[..., Any]:
    """Loss, gradient for the input, and the weights after a step of gradient descent."""

    def loss(weights: Any, xs: jax.Array) -> jax.Array:
        return agreement.mean_square(forward(weights, xs))

    def step(weights: Any, xs: jax.Array) -> tuple[jax.Array, Any, jax.Array]:
        value, (of_weights, of_xs) = jax.value_and_grad(loss, (0, 1))(weights, xs)
        return value, jax.tree.map(lambda w, g: w - 1e-3 * g, weights, of_weights), of_xs

    return step
