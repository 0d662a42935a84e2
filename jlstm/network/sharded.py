"""A network whose hidden units are divided over devices, for one too large or too slow on one."""

import jax
from jax.sharding import AxisType, Mesh

from jlstm import arguments, validation
from jlstm.config import Config, require_config
from jlstm.kernels import divided, plain
from jlstm.network import stack
from jlstm.network.stack import Carries
from jlstm.params import Params


def apply_sharded(
    config: Config,
    params: Params,
    carry: Carries | None,
    xs: jax.Array,
    mesh: Mesh,
    *,
    units: str = "units",
    batch: str | None = None,
    lengths: jax.Array | None = None,
    mask: jax.Array | None = None,
    resets: jax.Array | None = None,
    time_major: bool = True,
) -> tuple[Carries, jax.Array]:
    """`apply` with the hidden units of every layer divided over an axis of a mesh of devices.

    Each device holds all four gates of its own units. Every step gathers h once, in gradients it
    scatters once; all else a device does by itself. Parameters may lie on the devices in any way:
    to share the memory that they take, divide each over its last axis; they are rearranged once a
    call. Gradients lie as JAX likes, whole unless `jit` is given out_shardings or uses them up. To
    divide a batch alone takes no function of its own: `apply` leaves it as it lies.

    Args:
      config: the network; its layers are plain ones, in one direction or both. Nothing is dropped.
      params: its parameters.
      carry: as in `apply`.
      xs: inputs [T, *batch, I] ([*batch, T, I] unless time_major), floating point.
      mesh: the devices, with axes that JAX lays out by itself (AxisType.Auto).
      units: the axis of the mesh over which hidden units are divided.
      batch: the axis over which the first axis of the batch is, or None.
      lengths: as in `apply`.
      mask: as in `apply`.
      resets: as in `apply`.
      time_major: as in `apply`.

    Returns:
      What `apply` returns, the last axis of the carry divided over `units`.

    Raises:
      TypeError, ValueError: as `apply`; a mesh without such an axis; a layer with an option that
        joins units (a projection, layer normalisation) or any other variant, or with a number of
        units that the devices cannot share evenly.

    >>> import jax.numpy as jnp
    >>> from jlstm.params import init
    >>> mesh = jax.make_mesh((1, 1), ("batch", "units"), (jax.sharding.AxisType.Auto,) * 2)
    >>> config = Config.stack(6, [4])
    >>> params = init(jax.random.key(0), config)
    >>> carry, ys = apply_sharded(config, params, None, jnp.ones((3, 2, 6)), mesh, batch="batch")
    >>> ys.shape
    (3, 2, 4)
    """
    require_config(config)
    if not isinstance(mesh, Mesh):
        raise TypeError(f"mesh is a {type(mesh).__name__}; expected a jax.sharding.Mesh")
    validation.known_name("units", units, mesh.axis_names)
    if batch is not None:
        validation.known_name("batch", batch, mesh.axis_names)
    if batch == units:
        raise ValueError(f"batch and units are both {units!r}; expected two axes of the mesh")
    kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    if any(kind != AxisType.Auto for kind in kinds.values()):
        told = ", ".join(f"{name} {kind.name}" for name, kind in kinds.items())
        raise ValueError(
            f"the mesh has axes {told}; expected Auto ones: make it with "
            f"axis_types=(jax.sharding.AxisType.Auto,) * {len(kinds)}"
        )
    xs = arguments.as_array("xs", xs)
    _require_shares(xs, mesh, batch, time_major)
    devices = mesh.shape[units]
    for n, layer in enumerate(config.layers):
        if (option := plain.variant(layer.without_key)) is not None:
            raise ValueError(
                f"layer {n} has {option}={getattr(layer, option)!r}; only units of plain layers, "
                "without such variants, are divided over devices: use apply"
            )
        if layer.hidden_size % devices:
            raise ValueError(
                f"layer {n} has {layer.hidden_size} units, which {devices} devices along {units!r} "
                f"cannot share evenly; use a multiple of {devices}"
            )
    return stack.apply_with(
        divided.runner(mesh, units, batch), config, params, carry, xs,
        lengths=lengths, mask=mask, resets=resets, time_major=time_major,
    )  # fmt: skip


def _require_shares(xs: jax.Array, mesh: Mesh, batch: str | None, time_major: bool) -> None:
    """Checks that devices along `batch` can share the first axis of the batch evenly."""
    axis = 1 if time_major else 0
    if batch is None or xs.ndim < 2:
        return
    if xs.ndim < 3:
        raise ValueError(f"xs have shape {xs.shape}, without a batch to divide over {batch!r}")
    if xs.shape[axis] % mesh.shape[batch]:
        raise ValueError(
            f"xs have shape {xs.shape}, and {mesh.shape[batch]} devices along {batch!r} cannot "
            f"share axis {axis} evenly; pad the batch to a multiple of {mesh.shape[batch]}"
        )
