"""Runs a sequence in spans of time, for rematerialisation or truncated backpropagation."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm import arguments, validation
from jlstm.config import Config
from jlstm.network.sequence import Schedule


class Cut(NamedTuple):
    """How to divide time into spans.

    Attributes:
      steps: number of steps in a span; the last may be shorter. None for about the square root of
        all steps.
      recompute: save only the carry of each span, and recompute the rest in the backward pass.
      stop: stop gradients between spans.
    """

    steps: int | None
    recompute: bool = False
    stop: bool = False


def rematerialised(config: Config, steps: Any) -> Cut:
    """The cut for a value of `remat=`; raises ValueError if a layer runs backward in time."""
    _forward_in_time(config, "remat")
    if isinstance(steps, str):
        validation.known_name("remat", steps, ("sqrt",))
        return Cut(None, recompute=True)
    return Cut(validation.positive_int("remat", steps), recompute=True)


def truncated(config: Config, steps: Any) -> Cut:
    """The cut that stops gradients; raises ValueError if a layer runs backward in time."""
    _forward_in_time(config, "truncated backpropagation")
    return Cut(validation.positive_int("steps", steps), stop=True)


def _forward_in_time(config: Config, what: str) -> None:
    try:
        arguments.forward_in_time(config.layers)
    except ValueError as error:
        raise ValueError(f"{what} goes span by span through time, and {error}") from None


def over_time(
    stack: Callable[..., tuple[Any, jax.Array, Any]],
    params: Any,
    carry: Any,
    xs: jax.Array,
    times: Schedule,
    cut: Cut | None,
) -> tuple[Any, jax.Array, Any]:
    """Runs `stack(params, carry, xs, times)` -> (carry, ys, made), in spans if there is a cut.

    With a cut, the third result is None: traces do not support spans.
    """
    if cut is None:
        return stack(params, carry, xs, times)
    time = xs.shape[0]
    if not isinstance(time, int):
        what = "remat" if cut.recompute else "truncated backpropagation"
        raise ValueError(
            f"{what} divides time into spans, but the number of steps is symbolic ({time}); export "
            "a program for a known number of steps, or without it: outputs are the same"
        )
    steps = min(cut.steps or max(1, math.isqrt(time)), max(time, 1))
    keys = times.keys
    # Masks held over a sequence come from the call's one key. The scan over spans would slice it.
    own = times if keys is None else times._replace(keys=keys._replace(whole=None))

    def span(params: Any, carry: Any, part: tuple[jax.Array, Schedule]) -> tuple[Any, jax.Array]:
        xs, times = part
        if keys is not None and times.keys is not None:
            times = times._replace(keys=times.keys._replace(whole=keys.whole))
        return stack(params, carry, xs, times)[:2]

    span = jax.checkpoint(span, prevent_cse=False) if cut.recompute else span

    def next_span(carry: Any, part: Any) -> tuple[Any, jax.Array]:
        first, *part = part
        if cut.stop:  # the caller's carry keeps its gradient
            carry = jax.tree.map(lambda a: jnp.where(first, a, jax.lax.stop_gradient(a)), carry)
        return span(params, carry, tuple(part))

    spans = time // steps
    pieces = []
    if spans:
        whole = jax.tree.map(
            lambda a: a[: spans * steps].reshape(spans, steps, *a.shape[1:]), (xs, own)
        )
        carry, ys = jax.lax.scan(next_span, carry, (jnp.arange(spans) == 0, *whole))
        pieces.append(ys.reshape(spans * steps, *ys.shape[2:]))
    if spans * steps < time or not spans:
        rest = jax.tree.map(lambda a: a[spans * steps :], (xs, own))
        carry, ys = next_span(carry, (jnp.array(spans == 0), *rest))
        pieces.append(ys)
    return carry, jnp.concatenate(pieces), None
