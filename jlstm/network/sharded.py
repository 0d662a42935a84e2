"""Shards the hidden units of a network over devices, for networks too large or too slow for one."""

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
    """Runs the stack as `apply` does, with the hidden units of every layer sharded over devices.

    Each device computes all four gates of its units. Communication in the loop is one all-gather of
    h per step, and in the backward pass one reduce-scatter per step.

    Parameters may be sharded in any way. To divide their memory among the devices, shard the last
    axis of each. They are rearranged once per call. JAX chooses how gradients are sharded: each
    device holds them whole unless you pass `out_shardings` or consume them inside the `jit`.

    To shard the batch alone, use `apply`, which keeps the sharding of its inputs.

    Args:
      config: the network. Its layers must be plain, in one direction or both. Dropout is not
        applied.
      params: its parameters.
      carry: as in `apply`.
      xs: inputs [T, *batch, I] ([*batch, T, I] if time_major=False), floating point.
      mesh: the devices. All axes must have the type AxisType.Auto.
      units: the mesh axis over which to shard the hidden units.
      batch: the mesh axis over which to shard the first axis of the batch, or None.
      lengths: as in `apply`.
      mask: as in `apply`.
      resets: as in `apply`.
      time_major: as in `apply`.

    Returns:
      The same as `apply`, with the last axis of the carry sharded over `units`.

    Raises:
      TypeError, ValueError: as `apply`. Also if the mesh does not have these axes, if its axes are
        not Auto, if a layer uses a variant such as a projection or layer normalisation, or if the
        devices cannot share a layer's units or the batch evenly.

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
            f"the mesh has axes {told}; expected Auto ones: create the mesh with "
            f"axis_types=(jax.sharding.AxisType.Auto,) * {len(kinds)}"
        )
    xs = arguments.as_array("xs", xs)
    _require_shares(xs, mesh, batch, time_major)
    devices = mesh.shape[units]
    for n, layer in enumerate(config.layers):
        if (option := plain.variant(layer.without_key)) is not None:
            raise ValueError(
                f"layer {n} has {option}={getattr(layer, option)!r}; only units of plain layers "
                "can be sharded: leave this option out, or use apply"
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
    """Checks that the devices along `batch` can share the first axis of the batch evenly."""
    axis = 1 if time_major else 0
    if batch is None or xs.ndim < 2:
        return
    if xs.ndim < 3:
        raise ValueError(
            f"xs has shape {xs.shape}, without a batch to divide over {batch!r}; add a batch axis, "
            "or pass batch=None"
        )
    if xs.shape[axis] % mesh.shape[batch]:
        raise ValueError(
            f"xs has shape {xs.shape}, and {mesh.shape[batch]} devices along {batch!r} cannot "
            f"share axis {axis} evenly; pad the batch to a multiple of {mesh.shape[batch]}"
        )
