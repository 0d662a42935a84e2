"""Choosing by flags: steps within lengths, and values where a flag holds."""

from typing import Any

import jax
import jax.numpy as jnp

from jlstm.params import Carry


def select(flags: jax.Array | None, chosen: Carry | None, otherwise: Carry) -> Carry:
    """`chosen` where the flags [*batch] are True, the whole of `otherwise` without flags."""
    if flags is None or chosen is None:
        return otherwise
    return Carry(*(where(flags, a, b) for a, b in zip(chosen, otherwise, strict=True)))


def within(lengths: jax.Array, time_steps: int) -> jax.Array:
    """[T, *batch], True for the steps before the lengths [*batch]."""
    steps = jnp.arange(time_steps, dtype="int32")
    return steps.reshape(-1, *(1,) * lengths.ndim) < lengths[None]


def where(flags: jax.Array | None, chosen: Any, otherwise: Any) -> jax.Array:
    """`chosen` [..., H] where the flags [...] are True (everywhere without flags)."""
    return chosen if flags is None else jnp.where(flags[..., None], chosen, otherwise)
