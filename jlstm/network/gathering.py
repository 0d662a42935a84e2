"""Parameters that an explicit mesh shards, as in fully sharded data parallelism."""

import itertools
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from jlstm.kernels.primitives import device_types


def gathered(params: Any, xs: jax.Array) -> Any:
    """The parameters, gathered over the mesh axes that shard the batch of `xs`.

    Each device needs whole weights for its part of the batch. Gradients are sharded again.

    Raises:
      ValueError: a parameter is sharded over another axis of an explicit mesh.
    """
    axes = _axes(xs)

    def whole(path: Any, a: jax.Array) -> jax.Array:
        own = _axes(a)
        if not own:
            return a
        if axes and not own <= axes:
            name = jax.tree_util.keystr(path).removeprefix(".")
            raise ValueError(
                f"params{'.' if name[:1] != '[' else ''}{name} is sharded over the mesh axis "
                f"{', '.join(sorted(own - axes))}, which does not shard the batch; to share the "
                "units of a layer among devices, call jlstm.apply_sharded"
            )
        mesh = jax.typeof(a).sharding.mesh
        return jax.sharding.reshard(a, NamedSharding(mesh, PartitionSpec()))

    return jax.tree_util.tree_map_with_path(whole, params)


def _axes(a: jax.Array) -> set[str]:
    """The axes of an explicit mesh over which an array's type shards it."""
    if not device_types.explicit(a):
        return set()
    spec = jax.typeof(a).sharding.spec
    each = (own if isinstance(own, tuple) else (own,) for own in spec if own is not None)
    return set(itertools.chain.from_iterable(each))
