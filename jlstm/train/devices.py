"""Training over several devices and processes: the mesh, and where arrays are on it.

A batch is divided over all devices of the mesh. Parameters, the state of the optimiser and the
average of the parameters are whole on every device, or divided along their last axes over the
axis "model" (fully sharded data parallelism). Then each device holds a part, and has the whole
parameters only while it computes gradients.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jlstm.config import Config
from jlstm.params import initial_carry
from jlstm.train.model import Batch, Model
from jlstm.train.sections import MeshSizes
from jlstm.train.step import Metrics, State
from jlstm.train.tasks.task import Carries, Sums

AXES = ("data", "model")


def mesh_of(sizes: MeshSizes, batch_size: int) -> Mesh | None:
    """The mesh of the table [mesh], with the axes "data" and "model". None: one device.

    The devices of a process are neighbours in the mesh, so that each process has one block of the
    rows of a batch.

    Args:
      sizes: the table.
      batch_size: sequences in a batch.

    Raises:
      ValueError: there are too few devices, several processes would not use all of theirs, or the
        devices cannot share a batch evenly.
    """
    devices = sorted(jax.devices(), key=lambda each: (each.process_index, each.id))
    data = sizes.data if sizes.data is not None else max(1, len(devices) // sizes.model)
    count = data * sizes.model
    said = f"[mesh] data = {data}, model = {sizes.model} needs {count} devices"
    if count > len(devices):
        raise ValueError(
            f"{said}, but there are {len(devices)}; choose sizes with a product of at most "
            f"{len(devices)}, or leave out the table"
        )
    if jax.process_count() > 1 and count != len(devices):
        raise ValueError(
            f"{said}, but the {jax.process_count()} processes have {len(devices)} and must use "
            f"all; set sizes with a product of {len(devices)}, or leave out data"
        )
    if batch_size % count:
        lower = batch_size // count * count
        near = f"{lower} or {lower + count}" if lower else str(count)
        raise ValueError(
            f"batch_size is {batch_size}, which {count} devices cannot share evenly; set "
            f"batch_size = {near}, or [mesh] data and model with a product that divides "
            f"{batch_size}"
        )
    if count == 1:
        return None
    places = np.array(devices[:count]).reshape(data, sizes.model)
    return Mesh(places, AXES, axis_types=(AxisType.Auto,) * 2)


def share() -> tuple[int, int]:
    """The number of this process, and the number of processes, for `batches`."""
    return jax.process_index(), jax.process_count()


def placed(mesh: Mesh | None, batch: Batch, batch_size: int, *, stacked: bool = False) -> Batch:
    """A batch on the devices, each of which gets its rows.

    Args:
      mesh: the mesh, or None.
      batch: NumPy arrays with the rows of this process.
      batch_size: the rows of all processes.
      stacked: whether the arrays have an axis of steps in front.
    """
    if mesh is None:
        return jax.device_put(batch)
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * stacked, AXES))

    def put(a: np.ndarray) -> jax.Array:
        shape = list(a.shape)
        shape[int(stacked)] = batch_size
        return jax.make_array_from_process_local_data(sharding, np.asarray(a), tuple(shape))

    return jax.tree.map(put, batch)


def shardings(mesh: Mesh, state: State) -> State:
    """Where each array of a state is, by its shape, as a pytree of shardings.

    Args:
      mesh: the mesh.
      state: arrays or ShapeDtypeStructs.
    """
    parts = mesh.shape["model"]

    def of(a: Any) -> NamedSharding:
        if parts == 1 or not a.ndim or a.shape[-1] % parts:
            return _whole(mesh)
        return NamedSharding(mesh, PartitionSpec(*[None] * (a.ndim - 1), "model"))

    rows = NamedSharding(mesh, PartitionSpec(AXES))
    of_state = jax.tree.map(of, state._replace(carry=None))
    return of_state._replace(carry=jax.tree.map(lambda _: rows, state.carry))


def made(mesh: Mesh | None, make: Callable[..., Any], *args: Any) -> Any:
    """The state that a function returns, made where `shardings` wants it."""
    if mesh is None:
        return make(*args)
    where = shardings(mesh, jax.eval_shape(make, *args))
    return jax.jit(make, out_shardings=where)(*args)


def key(mesh: Mesh | None, seed: int) -> jax.Array:
    """The key of a run, on every device."""
    if mesh is None:
        return jax.random.key(seed)
    return jax.jit(lambda: jax.random.key(seed), out_shardings=_whole(mesh))()


def carry(mesh: Mesh | None, config: Config, model: Model, batch_size: int) -> Carries:
    """The initial carry, its rows where those of a batch are."""
    if mesh is None:
        return initial_carry(config, model.network, (batch_size,))
    rows = NamedSharding(mesh, PartitionSpec(AXES))
    begin = jax.jit(
        lambda network: initial_carry(config, network, (batch_size,)), out_shardings=rows
    )
    return begin(model.network)


def optimizer(
    mesh: Mesh | None, transformation: optax.GradientTransformation
) -> optax.GradientTransformation:
    """A gradient transformation that adds up gradients over the devices before it uses them.

    Without it, divided parameters would divide the computation of their gradients as well, which
    sends activations over the network.
    """
    if mesh is None:
        return transformation

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return transformation.update(_gathered(mesh, updates), state, params)

    return optax.GradientTransformation(transformation.init, update)


def train_step(mesh: Mesh | None, step: Callable[..., tuple[State, Metrics]]) -> Any:
    """A step of training whose state stays where `shardings` wants it.

    Args:
      mesh: the mesh. None: the step is returned as it is.
      step: what `make_train_step` returned.
    """
    if mesh is None:
        return step

    def sharded(state: State, batch: Batch, key: Any) -> tuple[State, Metrics]:
        # Divided parameters are gathered here, once a step. The layers would otherwise compute
        # with parts of the gates, and send outputs over the network at every step of time.
        after, metrics = step(state._replace(model=_gathered(mesh, state.model)), batch, key)
        constrain = jax.lax.with_sharding_constraint
        return constrain(after, shardings(mesh, after)), constrain(metrics, _whole(mesh))

    return sharded


def eval_step(mesh: Mesh | None, step: Callable[..., tuple[Carries | None, Sums]]) -> Any:
    """A step of evaluation, compiled, whose sums every process can read.

    Args:
      mesh: the mesh, or None.
      step: what `make_eval_step` returned.
    """
    if mesh is None:
        return jax.jit(step)

    def sharded(model: Model, begun: Carries | None, batch: Batch) -> tuple[Carries | None, Sums]:
        return step(_gathered(mesh, model), begun, batch)

    rows = NamedSharding(mesh, PartitionSpec(AXES))
    return jax.jit(sharded, out_shardings=(rows, _whole(mesh)))


def whole(mesh: Mesh | None, tree: Any) -> Any:
    """Arrays with all their parts on every device. All processes call it."""
    if mesh is None:
        return tree
    return jax.jit(lambda own: own, out_shardings=_whole(mesh))(tree)


def everywhere(mesh: Mesh | None, tree: Any) -> Any:
    """Arrays that every process has alike, as arrays of the mesh that are whole on every device."""
    if mesh is None:
        return tree

    def put(a: Any) -> jax.Array:
        own = np.asarray(a)
        return jax.make_array_from_callback(own.shape, _whole(mesh), lambda at: own[at])

    return jax.tree.map(put, tree)


def _gathered(mesh: Mesh, model: Any) -> Any:
    return jax.lax.with_sharding_constraint(model, _whole(mesh))


def _whole(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())
