"""What the type of an array says of devices, for operations that compute their results' types."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jlstm.kernels.operands import Forward


def plain(avals: Sequence[Any]) -> bool:
    """Whether no type says how its array lies over devices."""
    return all(a.sharding.mesh.empty for a in avals)


def of_results(function: Callable[..., Any], avals: Sequence[Any]) -> list[Any]:
    """The types that `function` gives for arguments of the types `avals`."""
    return jax.make_jaxpr(function)(*avals).out_avals


def alike(given: Forward) -> Forward:
    """Weights that vary over devices as the data does, which shard_map asks of one operation."""
    if plain([jax.typeof(given.xs)]):
        return given
    zero = jnp.sum(given.xs[:, :0])
    w_x, w_h, b = (None if a is None else a + zero for a in given[:3])
    return given._replace(w_x=w_x, w_h=w_h, b=b)


def zeros_like(a: jax.Array) -> jax.Array:
    """Zeros whose type says of devices what that of `a` does."""
    return jnp.zeros_like(a) + jnp.sum(a[:0])
