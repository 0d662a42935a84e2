"""Foreign calls over several devices: the batch stays divided as it is, the rest is whole."""

from collections.abc import Callable, Sequence
from typing import Any

from jax._src import dispatch
from jax.experimental.custom_partitioning import custom_partitioning
from jax.extend.core import Primitive
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec, use_abstract_mesh

from jlstm.kernels.primitives.operands import BATCH_AXIS


def needs_devices(primitive: Primitive) -> None:
    """Has JAX say which devices a program is for when it lowers the primitive.

    JAX has no public way to ask for that; custom_partitioning is in this set of its own accord.
    """
    dispatch.prim_requires_devices_during_lowering.add(primitive)


def local(axis_context: Any) -> bool:
    """Whether a program is lowered for one device, or as what each device does by itself."""
    manual = getattr(axis_context, "manual_axes", None)
    if manual is not None:
        return set(manual) == set(axis_context.mesh.axis_names)
    return getattr(axis_context, "num_devices", 1) == 1


def over_batch(
    call: Callable[..., Any],
    operand_names: Sequence[str],
    operands: Sequence[Any],
    result_names: Sequence[str],
    results: Sequence[Any],
) -> Callable[..., Any]:
    """`call` as an operation that XLA divides along the batch axes and nowhere else.

    Args:
      call: takes and gives a flat list of arrays; a part of the batch gives that part of results.
      operand_names: which operand each argument is.
      operands: their types.
      result_names: which field each result is.
      results: their types.
    """
    leading = next(n for n, name in enumerate(operand_names) if name in ("carry", "d_last"))
    ranks = [a.ndim for a in operands], [a.ndim for a in results]

    def batch_of(shardings: Sequence[Any]) -> tuple[Any, ...]:
        spec = tuple(getattr(shardings[leading].sharding, "spec", ()))
        spec += (None,) * (ranks[0][leading] - len(spec))
        return spec[1:-1]

    def placed(mesh: Any, names: Sequence[str], ranks: Sequence[int], batch: Any) -> list[Any]:
        specs = []
        for name, rank in zip(names, ranks, strict=True):
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

    def alone(*args: Any) -> Any:
        # What one device does knows of no mesh; under an explicit one JAX would place each array.
        with use_abstract_mesh(AbstractMesh((), ())):
            return tuple(call(*args))

    divided = custom_partitioning(lambda *args: tuple(call(*args)))
    divided.def_partition(
        partition=partition,
        infer_sharding_from_operands=infer,
        sharding_rule=_rule(operand_names, ranks[0]) + " -> " + _rule(result_names, ranks[1], "r"),
    )
    return lambda *args: list(divided(*args))


def _rule(names: Sequence[str], ranks: Sequence[int], kind: str = "o") -> str:
    """Shardy's notation: batch axes bear the same name everywhere, all others one of their own."""
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
