"""Converts arrays to the layout of the TPU kernels: one batch axis, features padded to lanes."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jlstm.kernels.tpu import vmem
from jlstm.params import Carry

VALID, RESET = 1, 2  # bits of a step's flags


def flags(given: Any, time: int, batch: int) -> jax.Array | None:
    """The flags valid and resets as bits of one array [G or 1, T, B, 1], or None."""
    bits = ((given.valid, VALID), (given.resets, RESET))
    parts = [a.astype(jnp.int32) * bit for a, bit in bits if a is not None]
    return functools.reduce(jnp.add, parts).reshape(-1, time, batch, 1) if parts else None


def padded(a: jax.Array, axis: int = -1) -> jax.Array:
    """`a` padded with zeros along an axis to a multiple of the number of lanes."""
    widths = [(0, 0)] * a.ndim
    widths[axis] = (0, -a.shape[axis] % vmem.LANES)
    return jnp.pad(a, widths) if any(widths[axis]) else a


def padded_gates(a: jax.Array) -> jax.Array:
    """`a` [.., 4H] with each of the four gates padded."""
    units = a.shape[-1] // 4
    if units % vmem.LANES == 0:
        return a
    return padded(a.reshape(*a.shape[:-1], 4, units)).reshape(*a.shape[:-1], -1)


def flat_states(carry: Carry | None) -> Any:
    """Carry [G, *batch, H] as [G, B, H], padded."""
    return jax.tree.map(lambda a: padded(a.reshape(a.shape[0], -1, a.shape[-1])), carry)


def unflat(a: jax.Array, units: int, batch_shape: tuple[int, ...]) -> jax.Array:
    """A result [.., B, n * padded H] as [.., *batch, n * H]."""
    width = units + -units % vmem.LANES
    if width != units:
        parts = a.reshape(*a.shape[:-1], -1, width)[..., :units]
        a = parts.reshape(*a.shape[:-1], -1)
    return a.reshape(*a.shape[:-2], *batch_shape, a.shape[-1])


def chosen(a: jax.Array, members: list[int]) -> jax.Array:
    """The groups `members` of `a`, in that order."""
    return jnp.concatenate([a[n : n + 1] for n in members])
