"""Times one call on several implementations."""

import statistics
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jlstm
from jlstm.kernels.choice import RefusedError

_ROUNDS = 5


class Size(NamedTuple):
    """The shape of a call. The input has as many features as the layer has units."""

    time_steps: int
    batch_size: int
    hidden_size: int


class Time(NamedTuple):
    """How long a call took on one implementation.

    Attributes:
      milliseconds: the median of the rounds; None if the call was refused or failed.
      text: the milliseconds, "refused" or "failed".
      details: the reason for a refusal, or the type and message of an error; otherwise "".
    """

    milliseconds: float | None
    text: str
    details: str

    @property
    def reason(self) -> str:
        """Why there is no time; "" if there is one."""
        return f"{self.text}: {self.details}" if self.details else ""


def times(size: Size, mode: str, names: list[str]) -> dict[str, Time]:
    """The time of a call on each implementation. If one of them fails, the others go on.

    Every round calls all implementations once. The first round compiles and is not timed.

    Args:
      size: the shape of the call.
      mode: "forward" or "training".
      names: the names of the implementations.
    """
    config = jlstm.Config.stack(size.hidden_size, [size.hidden_size])
    params = jlstm.init(jax.random.key(0), config)
    xs = jnp.ones((size.time_steps, size.batch_size, size.hidden_size))
    calls = {name: _call(config, mode, name) for name in names}
    taken: dict[str, list[float]] = {name: [] for name in names}
    found: dict[str, Time] = {}
    for n in range(_ROUNDS + 1):
        for name, call in tuple(calls.items()):
            start = time.perf_counter()
            try:
                jax.block_until_ready(call(params, xs))
            except RefusedError as error:  # for example, the layer does not fit the chip
                found[name] = Time(None, "refused", str(error))
            except Exception as error:  # a platform's compiler may raise anything
                found[name] = Time(None, "failed", f"{type(error).__name__}: {error}")
            if name in found:
                del calls[name]
            elif n:
                taken[name].append(time.perf_counter() - start)
    for name in calls:
        median = 1e3 * statistics.median(taken[name])
        found[name] = Time(median, f"{median:.2f}", "")
    return {name: found[name] for name in names}


def _call(config: jlstm.Config, mode: str, name: str) -> Any:
    def forward(params: Any, xs: jax.Array) -> jax.Array:
        return jlstm.apply(config, params, None, xs, implementation=name)[1]

    if mode == "forward":
        return jax.jit(forward)
    return jax.jit(jax.grad(lambda params, xs: jnp.sum(jnp.square(forward(params, xs))), (0, 1)))
