"""Foreign calls over several devices: the batch keeps its sharding, all else is replicated."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax._src import dispatch
from jax.experimental.custom_partitioning import custom_partitioning
from jax.extend.core import Primitive
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec, use_abstract_mesh

from jlstm.kernels.primitives.operands import BATCH_AXIS, names


def needs_devices(primitive: Primitive) -> None:
    """Makes JAX provide the devices of a program when it lowers the primitive.

    JAX has no public function for that. Its own custom_partitioning uses the same set.
    """
    dispatch.prim_requires_devices_during_lowering.add(primitive)


def local(axis_context: Any) -> bool:
    """Whether a program is lowered for a single device: one device, or fully within shard_map."""
    manual = getattr(axis_context, "manual_axes", None)
    if manual is not None:
        return set(manual) == set(axis_context.mesh.axis_names)
    return getattr(axis_context, "num_devices", 1) == 1


def over_batch(
    call: Callable[[Any], Any],
    given: Any,
    result_names: Sequence[str],
    results: Sequence[Any],
) -> Callable[[Any], list[Any]]:
    """`call` as an operation that XLA partitions along the batch axes and no others.

    Args:
      call: function of operands to results. A part of the batch gives the same part of the results.
      given: the types of the operands, one of the tuples of `operands`.
      result_names: the name of each array of the results.
      results: their types.

    Returns:
      A function of the operands that returns the arrays of the results.
    """
    operand_names = names(given)
    operands, tree = jax.tree.flatten(given)
    leading = next(n for n, name in enumerate(operand_names) if name in ("carry", "d_last"))
    ranks = [a.ndim for a in operands], [a.ndim for a in results]

    def batch_of(shardings: Sequence[Any]) -> tuple[Any, ...]:
        spec = tuple(getattr(shardings[leading].sharding, "spec", ()))
        spec += (None,) * (ranks[0][leading] - len(spec))
        return spec[1:-1]

    def placed(mesh: Any, of: Sequence[str], ranks: Sequence[int], batch: Any) -> list[Any]:
        specs = []
        for name, rank in zip(of, ranks, strict=True):
            axis = BATCH_AXIS[name]
            spec = [None] * rank
            if axis is not None:
                spec[axis : axis + len(batch)] = batch
            specs.append(NamedSharding(mesh, PartitionSpec(*spec)))
        return specs

    def infer(mesh: Any, arguments: Any, _: Any) -> Any:
        return tuple(placed(mesh, result_names, ranks[1], batch_of(arguments)))

    def partition(mesh: Any, arguments: Any, _: Any) -> Any:
        batch = batch_of(arguments)
        after = tuple(placed(mesh, result_names, ranks[1], batch))
        before = tuple(placed(mesh, operand_names, ranks[0], batch))
        return mesh, alone, after, before

    def flat(*args: Any) -> tuple[Any, ...]:
        return tuple(jax.tree.leaves(call(jax.tree.unflatten(tree, args))))

    def alone(*args: Any) -> Any:
        # This runs on one device. Under an explicit mesh JAX would shard each array again.
        with use_abstract_mesh(AbstractMesh((), ())):
            return flat(*args)

    divided = custom_partitioning(flat)
    divided.def_partition(
        partition=partition,
        infer_sharding_from_operands=infer,
        sharding_rule=_rule(operand_names, ranks[0]) + " -> " + _rule(result_names, ranks[1], "r"),
    )
    return lambda given: list(divided(*jax.tree.leaves(given)))


def _rule(names: Sequence[str], ranks: Sequence[int], kind: str = "o") -> str:
    """A rule in Shardy's notation: batch axes have common names, every other axis a unique one."""
    arrays = []
    for n, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        axis = BATCH_AXIS[name]
        features = 0 if name in ("valid", "resets") else 1
        factors = []
        for d in range(rank):
            of_batch = axis is not None and axis <= d < rank - features
            factors.append(f"b{d - (axis or 0)}" if of_batch else f"{kind}{n}x{d}")
        arrays.append(" ".join(factors))
    return ", ".join(arrays)
