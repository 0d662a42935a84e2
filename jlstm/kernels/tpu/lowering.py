"""Lowers the fused operations for TPU: Pallas kernels, if the weights of a layer fit into VMEM."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np

from jlstm import cell
from jlstm.kernels import plain
from jlstm.kernels.fused_as_scans import with_h_in
from jlstm.kernels.plain import PLAIN
from jlstm.kernels.primitives import operands, partition
from jlstm.kernels.primitives.operands import Backward, Forward, Gradients, Residuals, RunResults
from jlstm.kernels.tpu import tiling, vmem
from jlstm.layer import Layer
from jlstm.params import Carry, LayerParams

FORMATS = ("float32", "bfloat16")  # dtypes of products that the kernels support


def refusal(layer: Layer, dtype: str, platform: str) -> str | None:
    """Why the kernels do not support a layer, or None if they do."""
    if platform != "tpu":
        return f"it runs on TPUs only, not on {platform}"
    reason = plain.refusal(layer, dtype, FORMATS)
    if reason is not None:
        return reason
    present = jax.devices() if jax.default_backend() == "tpu" else []
    chip = present[0].device_kind if present else None
    most = vmem.largest(chip, 2 if dtype == "bfloat16" or narrow() else 4)
    if layer.hidden_size > most:
        where = chip or "the smallest TPU (no TPU is present)"
        return f"w_h of {layer.hidden_size} units does not fit into {where}; up to {most} units fit"
    return None


def narrow() -> bool:
    """Whether JAX's settings round float32 operands of products to bfloat16, the TPU default."""
    asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return asked in (None, "default", "bfloat16", "fastest", "BF16_BF16_F32")


def lowering(ctx: Any, given: Any, reverse: Any, keep: bool = False) -> Callable[..., Any] | None:
    """A function of an operation's operands that runs its kernel, or None if no kernel can run.

    Args:
      ctx: the context of the lowering.
      given: the types of the operands: Forward or Backward.
      reverse: for each group, whether it runs backward in time.
      keep: whether a run returns the residuals for derivatives.
    """
    # XLA for TPU does not call custom partitioners (https://github.com/jax-ml/jax/issues/38196).
    # Programs over several chips can therefore contain a kernel only within shard_map.
    local = partition.local(ctx.module_context.axis_context)
    if not local or not all(_known(a) for a in ctx.avals_in):
        return None
    chip = _chip(ctx.module_context.axis_context)
    if _tiles(given, chip, keep) is None:
        return None
    return functools.partial(recurrence, reverse=reverse, keep=keep, chip=chip)


def recurrence(
    given: Any,
    reverse: tuple[bool, ...],
    keep: bool = False,
    chip: str | None = None,
    interpret: Any = False,
) -> Any:
    """Computes an operation with the kernels.

    Args:
      given: Forward or Backward.
      reverse, keep: as for the lowering.
      chip: JAX's device_kind of the chip, None for any chip.
      interpret: how Pallas runs the kernels on a machine without a TPU.
    """

    def one(given: Any, backwards: bool) -> Any:
        with _in_32_bits():
            if isinstance(given, Forward):
                return _run(given, backwards, keep, chip, interpret)
            return _backward(given, backwards, chip, interpret)

    if len(set(reverse)) == 1:
        return one(given, reverse[0])
    parts, order = [], []
    for backwards in (False, True):
        members = [n for n, own in enumerate(reverse) if own == backwards]
        order += members
        own = jax.tree.map(
            lambda a, members=members: a if a.shape[0] == 1 else tiling.chosen(a, members), given
        )
        parts.append(one(own, backwards))
    places = [order.index(n) for n in range(len(order))]
    return jax.tree.map(lambda *a: tiling.chosen(jnp.concatenate(a), places), *parts)


def _run(
    given: Forward, backwards: bool, keep: bool, chip: str | None, interpret: Any
) -> RunResults:
    from jlstm.kernels.tpu import forward, grid  # imported here, because they import Pallas

    batch_shape, units = given.xs.shape[2:-1], given.w_h.shape[1]
    tiles = _tiles(given, chip, keep)
    assert tiles is not None
    dtype = given.w_h.dtype
    xs = given.xs.reshape(given.xs.shape[0], -1, given.xs.shape[-1])
    w_x, w_h, b = tiling.padded_gates(given.w_x), tiling.padded_gates(given.w_h), given.b
    b = None if b is None else tiling.padded_gates(b)

    def products(w_x: jax.Array, b: jax.Array | None, xs: jax.Array) -> jax.Array:
        return cell.from_input(PLAIN, LayerParams(w_x, None, b), xs, dtype)  # type: ignore[arg-type]

    if len(xs) == 1:
        z = jax.vmap(products, (0, 0, None))(w_x, b, xs[0])
    else:
        z = jax.vmap(products)(w_x, b, xs)
    time, batch = given.xs.shape[1], int(np.prod(batch_shape))
    carry, initial = (tiling.flat_states(a) for a in (given.carry, given.initial))
    walk = grid.Walk(time, tiles, backwards, given.valid is not None, given.resets is not None)
    made = forward.run(
        walk,
        tiling.padded(w_h, 1).astype(_operand(dtype)),
        z.reshape(len(z), time, batch, -1),
        carry,
        initial,
        tiling.flags(given, time, batch),
        keep,
        interpret,
    )
    states, hs, residuals = made[:2], made[2], made[3:]
    last = Carry(*(tiling.unflat(a, units, batch_shape) for a in states))
    whole = RunResults(last, tiling.unflat(hs, units, batch_shape))
    if keep:
        each = (tiling.unflat(a, units, batch_shape) for a in residuals)
        whole = whole._replace(residuals=Residuals(*each))
    return with_h_in(dtype, whole)


def _backward(given: Backward, backwards: bool, chip: str | None, interpret: Any) -> Gradients:
    from jlstm.kernels.tpu import backward, grid

    batch_shape, units = given.d_hs.shape[2:-1], given.d_hs.shape[-1]
    tiles = _tiles(given, chip)
    assert tiles is not None
    time, batch = given.d_hs.shape[1], int(np.prod(batch_shape))

    def over_time(a: jax.Array) -> jax.Array:
        return a.reshape(len(a), time, batch, -1)

    walk = grid.Walk(time, tiles, not backwards, given.valid is not None, given.resets is not None)
    w_h = jnp.swapaxes(tiling.padded(tiling.padded_gates(given.w_h), 1), 1, 2)
    made = backward.backward(
        walk,
        w_h.astype(_operand(jnp.dtype("float32"))),
        tiling.padded_gates(over_time(given.gates)),
        tiling.padded(over_time(given.c_before)),
        tiling.padded(over_time(given.d_hs.astype(jnp.float32))),
        tiling.flat_states(given.d_last),
        tiling.flags(given, time, batch),
        interpret,
    )
    made = [tiling.unflat(a, units, batch_shape) for a in made]
    d_z = made[0].astype(given.w_h.dtype)
    return Gradients(d_z, Carry(*made[1:3]), Carry(*made[3:]) if made[3:] else None)


def _tiles(given: Any, chip: str | None, keep: bool = False) -> vmem.Tiles | None:
    units = given.w_h.shape[1] + -given.w_h.shape[1] % vmem.LANES
    run = vmem.RUN_KEPT if keep else vmem.RUN
    arrays = run if isinstance(given, Forward) else vmem.BACKWARD
    time, *batch_shape = operands.over_time(given).shape[1:-1]
    batch = int(np.prod(batch_shape))
    backward = isinstance(given, Backward)  # its products have operands in float32
    operand = _operand(jnp.dtype("float32") if backward else given.w_h.dtype)
    return vmem.tiles(chip, units, time, batch, operand.itemsize, arrays)


def _operand(dtype: jnp.dtype) -> np.dtype:
    """The dtype in which a kernel for `dtype` holds the weights and rounds operands of products."""
    return jnp.dtype("bfloat16" if dtype == jnp.bfloat16 or narrow() else "float32")


def _in_32_bits() -> AbstractContextManager[Any]:
    """A context in which jax_enable_x64 is off, because TPU kernels have no 64-bit numbers."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(False)
    return jax.experimental.disable_x64()  # type: ignore[attr-defined]  # before jax 0.8


def _known(a: Any) -> bool:
    """Whether the kernels support an array: a known dtype and size, and not empty."""
    sizes = all(isinstance(n, int) and n > 0 for n in a.shape)
    return sizes and a.dtype in (jnp.float32, jnp.bfloat16, jnp.bool_)


def _chip(axis_context: Any) -> str | None:
    """JAX's device_kind of the chip that a program is lowered for, None if it is not known."""
    devices = getattr(axis_context, "device_assignment", None)
    mesh = getattr(axis_context, "mesh", None)
    if devices is None and mesh is not None and not mesh.empty and hasattr(mesh, "devices"):
        devices = mesh.devices.flat
    return next(iter(devices)).device_kind if devices is not None else None
