"""What the type of an array says of devices, for operations that compute their results' types."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def plain(avals: Sequence[Any]) -> bool:
    """Whether no type says how its array lies over devices."""
    return all(a.sharding.mesh.empty for a in avals)


def explicit(a: Any) -> bool:
    """Whether the type of an array says how it lies over a mesh with explicit axes."""
    mesh = jax.typeof(a).sharding.mesh
    return not mesh.empty and AxisType.Explicit in mesh.axis_types


def of_results(function: Callable[..., Any], avals: Sequence[Any]) -> list[Any]:
    """The types that `function` gives for arguments of the types `avals`."""
    return jax.make_jaxpr(function)(*avals).out_avals


def alike(tree: Any) -> Any:
    """Arrays that all vary over the axes that any of them does, as shard_map asks of operands.

    Their values, and what vmap has mapped, stay as they are.
    """
    axes = {axis for a in jax.tree.leaves(tree) for axis in _varying(a)}
    return jax.tree.map(lambda a: _vary(a, axes - _varying(a)), tree) if axes else tree


def struct_like(a: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    """A shape that varies over the axes that `a` does."""
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
    """The mesh, and its axes over which the type of `a` says that an axis is divided; or None."""
    sharding = jax.typeof(a).sharding
    over = None if sharding.mesh.empty else sharding.spec[axis]
    return None if over is None else (sharding.mesh, over)


def divided(a: jax.Array, axis: int, over: tuple[Any, Any] | None) -> jax.Array:
    """`a`, one of its axes divided as `divided_over` says of another array's."""
    if over is None:
        return a
    mesh, axes = over
    spec = list(jax.typeof(a).sharding.spec)
    spec[axis] = axes
    return jax.sharding.reshard(a, NamedSharding(mesh, PartitionSpec(*spec)))


def zeros_like(a: jax.Array) -> jax.Array:
    """Zeros whose type says of devices what that of `a` does."""
    # jnp.zeros_like forgets it, under an explicit mesh since jax 0.12. XLA removes the choice.
    return jnp.where(jnp.zeros((), bool), a, jnp.zeros((), a.dtype))
