"""Layers whose hidden units are sharded: each device computes some units from all of h."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from jlstm.kernels import scan
from jlstm.kernels.recurrence import Inputs, Recurrence
from jlstm.layer import Layer
from jlstm.params import Carry


@functools.cache  # a new function object would recompile the network
def runner(mesh: Mesh, units: str, batch: str | None) -> Recurrence:
    """The recurrence of plain layers whose units are sharded.

    Args:
      mesh: the devices.
      units: the mesh axis over which the hidden units are sharded.
      batch: the mesh axis over which the first axis of the batch is sharded, or None.
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
    # A shard of the flat [4H] would hold some gates of all units. A shard of [4, H] holds all gates
    # of some units, so that a device needs nothing but h from the others.
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
