"""Sharding types: the part of an array's type that concerns devices."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def plain(avals: Sequence[Any]) -> bool:
    """Whether no type includes a sharding over a mesh."""
    return all(a.sharding.mesh.empty for a in avals)


def explicit(a: Any) -> bool:
    """Whether the type of an array includes a sharding over a mesh with explicit axes."""
    mesh = jax.typeof(a).sharding.mesh
    return not mesh.empty and AxisType.Explicit in mesh.axis_types


def of_results(function: Callable[..., Any], avals: Sequence[Any]) -> list[Any]:
    """The types of the results of `function` for arguments of the types `avals`."""
    return jax.make_jaxpr(function)(*avals).out_avals


def alike(tree: Any) -> Any:
    """The same arrays, typed as varying over every mesh axis over which any of them varies.

    shard_map requires this of the operands of an operation. Values and vmapped axes do not change.
    """
    axes = {axis for a in jax.tree.leaves(tree) for axis in _varying(a)}
    return jax.tree.map(lambda a: _vary(a, axes - _varying(a)), tree) if axes else tree


def struct_like(a: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    """A ShapeDtypeStruct that varies over the same mesh axes as `a`."""
    name = "vma" if hasattr(jax.typeof(a), "vma") else "manual_axis_type"  # before jax 0.10
    varying: dict[str, Any] = {name: getattr(jax.typeof(a), name, None)}
    return jax.ShapeDtypeStruct(shape, dtype, **varying)


def _varying(a: Any) -> set[str]:
    aval = jax.typeof(a)
    if hasattr(aval, "vma"):  # before jax 0.10
        return set(aval.vma)
    kind = getattr(aval, "manual_axis_type", None)
    return set(kind.varying) if kind is not None else set()


def _vary(a: jax.Array, axes: set[str]) -> jax.Array:
    if not axes:
        return a
    if hasattr(jax.lax, "pvary"):  # before jax 0.10
        return jax.lax.pvary(a, tuple(axes))  # type: ignore[attr-defined]
    return jax.lax.pcast(a, tuple(axes), to="varying")


def divided_over(a: jax.Array, axis: int) -> tuple[Any, Any] | None:
    """(mesh, mesh axes) over which an axis of `a` is sharded by its type, or None if it is not."""
    sharding = jax.typeof(a).sharding
    over = None if sharding.mesh.empty else sharding.spec[axis]
    return None if over is None else (sharding.mesh, over)


def divided(a: jax.Array, axis: int, over: tuple[Any, Any] | None) -> jax.Array:
    """`a` with one axis sharded over `over`, a result of `divided_over`."""
    if over is None:
        return a
    mesh, axes = over
    spec = list(jax.typeof(a).sharding.spec)
    spec[axis] = axes
    return jax.sharding.reshard(a, NamedSharding(mesh, PartitionSpec(*spec)))


def zeros_like(a: jax.Array) -> jax.Array:
    """Zeros with the sharding type of `a`."""
    # Since jax 0.12, jnp.zeros_like loses it under an explicit mesh. XLA removes the selection.
    return jnp.where(jnp.zeros((), bool), a, jnp.zeros((), a.dtype))
