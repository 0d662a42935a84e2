"""The vmap rule of the fused operations: data fold into the batch, weights into the groups."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jlstm.kernels.primitives import device_types, operands
from jlstm.kernels.primitives.operands import BATCH_AXIS, SHARED


def foldable(given: Any, dims: Sequence[Any]) -> bool:
    """Whether `batch` can fold the mapped axis.

    It cannot repeat groups a symbolic number of times, nor gather members that an explicit mesh
    distributes over devices.
    """
    for name, a, d in zip(operands.names(given), jax.tree.leaves(given), dims, strict=True):
        if d is None or BATCH_AXIS[name] is not None:
            continue
        if not isinstance(a.shape[d], int) or device_types.divided_over(a, d) is not None:
            return False
    return True


def batch(
    given: Any, dims: Sequence[Any], reverse: tuple[bool, ...]
) -> tuple[Any, tuple[bool, ...], bool]:
    """Operands that include the mapped axis.

    If only data are mapped, the axis becomes a batch axis. If weights are mapped, each member
    becomes a separate group. Arrays that all members share are not repeated, if the operand may be
    shared by all groups.

    Args:
      given: the operands, one of the tuples of `operands`.
      dims: the mapped axis of each of their arrays, or None.
      reverse: for each group, whether it runs backward in time.

    Returns:
      The new operands, `reverse` for their groups, and whether members became groups.
    """
    names = operands.names(given)
    args, tree = jax.tree.flatten(given)
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    weights_mapped = any(
        BATCH_AXIS[name] is None and d is not None for name, d in zip(names, dims, strict=True)
    )
    over = next(
        device_types.divided_over(a, d) for a, d in zip(args, dims, strict=True) if d is not None
    )
    made = []
    for name, a, d in zip(names, args, dims, strict=True):
        axis = BATCH_AXIS[name]
        if not weights_mapped:
            if axis is not None:
                a = _broadcast(a, axis, size) if d is None else jnp.moveaxis(a, d, axis)
                a = device_types.divided(a, axis, over) if d is None else a
        elif not (d is None and name in SHARED and a.shape[0] == 1):
            a = _broadcast(a, 0, size) if d is None else jnp.moveaxis(a, d, 0)
            if a.shape[1] < len(reverse):
                a = jnp.broadcast_to(a, (size, len(reverse), *a.shape[2:]))
            a = a.reshape(size * a.shape[1], *a.shape[2:])
        made.append(a)
    operands_of_all = jax.tree.unflatten(tree, made)
    return operands_of_all, reverse * size if weights_mapped else reverse, weights_mapped


def unbatch(results: Any, groups: int, members: bool) -> tuple[Any, list[int]]:
    """Results, and the position of the mapped axis in each of their arrays.

    Args:
      results: one of the tuples of `operands`.
      groups: the number of groups of each member.
      members: whether members became groups.
    """
    if not members:
        return results, [BATCH_AXIS[name] or 0 for name in operands.names(results)]
    each = jax.tree.map(lambda a: a.reshape(len(a) // groups, groups, *a.shape[1:]), results)
    return each, [0] * len(jax.tree.leaves(results))


def _broadcast(a: jax.Array, axis: int, size: int) -> jax.Array:
    a = jnp.expand_dims(a, axis)
    return jnp.broadcast_to(a, (*a.shape[:axis], size, *a.shape[axis + 1 :]))
