"""Selection of values by boolean flags, and the flags of steps within lengths."""

from typing import Any

import jax
import jax.numpy as jnp

from jlstm.params import Carry


def select(flags: jax.Array | None, chosen: Carry | None, otherwise: Carry) -> Carry:
    """`chosen` where the flags [*batch] are True; `otherwise` if flags or `chosen` is None."""
    if flags is None or chosen is None:
        return otherwise
    return Carry(*(where(flags, a, b) for a, b in zip(chosen, otherwise, strict=True)))


def within(lengths: jax.Array, time_steps: int) -> jax.Array:
    """[T, *batch], True for the steps before the lengths [*batch]."""
    steps = jnp.arange(time_steps, dtype="int32")
    return steps.reshape(-1, *(1,) * lengths.ndim) < lengths[None]


def where(flags: jax.Array | None, chosen: Any, otherwise: Any) -> jax.Array:
    """`chosen` [..., H] where the flags [...] are True, else `otherwise`; no flags are all True."""
    return chosen if flags is None else jnp.where(flags[..., None], chosen, otherwise)
