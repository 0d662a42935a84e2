"""Layers whose hidden units are divided over devices: each has some of them, and reads all of h."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from jlstm.kernels import scan
from jlstm.kernels.recurrence import Inputs, Recurrence
from jlstm.layer import Layer
from jlstm.params import Carry


@functools.cache  # a network is compiled anew for a function that it has not seen
def runner(mesh: Mesh, units: str, batch: str | None) -> Recurrence:
    """The recurrence of plain layers whose units are divided.

    Args:
      mesh: the devices.
      units: the axis of the mesh over which the hidden units are divided.
      batch: the axis over which the first axis of the batch is, or None.
    """
    return functools.partial(_run, mesh, units, batch)


def _run(
    mesh: Mesh,
    units: str,
    batch: str | None,
    layer: Layer,
    inputs: Inputs,
    *,
    reverse: tuple[bool, ...],
    dtype: jnp.dtype,
) -> tuple[Carry, jax.Array]:
    # A device's share of a flat [4H] would be whole gates of all units; of [4, H] it is all gates
    # of some units, for which nothing but h has to be fetched.
    by_gate = jax.tree.map(_by_gate, inputs.params._replace(initial_carry=None))
    carry, xs = inputs.carry, inputs.xs
    initial = Carry(*(jnp.broadcast_to(a, carry.c.shape) for a in inputs.initial))

    def local(params: Any, carry: Any, initial: Any, xs: Any, valid: Any, resets: Any) -> Any:
        own = jax.tree.map(_flat, params)
        own = Inputs(own, carry, xs, initial, valid, resets, inputs.masks, inputs.held)
        return scan.run(layer, own, reverse=reverse, dtype=dtype, over=units)

    inner = [None] * (xs.ndim - 3)
    over_params = jax.tree.map(lambda a: PartitionSpec(*[None] * (a.ndim - 1), units), by_gate)
    state, over_time = PartitionSpec(None, batch, *inner, units), PartitionSpec(None, batch)
    if xs.ndim == 2:
        state, over_time = PartitionSpec(None, units), PartitionSpec()
    given = (over_params, state, state, over_time, over_time, over_time)
    made = (state, PartitionSpec(None, *state))
    divided = jax.shard_map(local, mesh=mesh, in_specs=given, out_specs=made)
    return divided(by_gate, carry, initial, xs, inputs.valid, inputs.resets)


def _by_gate(a: jax.Array) -> jax.Array:
    """[.., 4H] as [.., 4, H]."""
    return a.reshape(*a.shape[:-1], 4, -1)


def _flat(a: jax.Array) -> jax.Array:
    """The inverse."""
    return a.reshape(*a.shape[:-2], -1)
