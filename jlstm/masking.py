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
    steps, ends = jnp.arange(time_steps, dtype="int32"), in_int32(lengths)
    return steps.reshape(-1, *(1,) * ends.ndim) < ends[None]


def in_int32(lengths: jax.Array) -> jax.Array:
    """Lengths of any integer type as int32. Those that it cannot hold become its limits.

    An empty list has no lengths, and to JAX it has a floating-point type.
    """
    if lengths.dtype == jnp.int32 or not lengths.size:
        return lengths.astype("int32")
    given, wanted = jnp.iinfo(lengths.dtype), jnp.iinfo("int32")
    low, high = max(given.min, wanted.min), min(given.max, wanted.max)
    return jnp.clip(lengths, low, high).astype("int32")


def where(flags: jax.Array | None, chosen: Any, otherwise: Any) -> jax.Array:
    """`chosen` [..., H] where the flags [...] are True, else `otherwise`; no flags are all True."""
    return chosen if flags is None else jnp.where(flags[..., None], chosen, otherwise)
