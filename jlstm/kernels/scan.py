"""The recurrence as a lax.scan: runs on every platform, and is the reference for the others.

The input products of all steps are one product before the loop. The weight gradients are one
product after it, although no backward pass is written here. To first order, a tangent dW_h of W_h
changes z at each step exactly as a tangent h' dW_h of the input product would, where h' is the
hidden state that the step reads. Therefore the loop is differentiated with respect to the input
products alone, and the product of all h' with dW_h is added to their tangents. The transpose of
that product is the sum over time of h' times the gradient of z, which a plain scan would add up
step by step.

The same holds for a projection. If the product with h' is normalised by itself, it cannot share
the tangent of the input products. Then zeros are added to it, and the loop is differentiated with
respect to these.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jlstm import cell, masking
from jlstm.kernels.primitives import device_types
from jlstm.kernels.recurrence import Inputs
from jlstm.layer import Layer
from jlstm.params import Carry, LayerParams


class Steps(NamedTuple):
    """The arrays that vary with time, with the leading axis T; None for absent ones.

    Attributes:
      z: input products [T, *batch, 4H].
      valid: booleans [T, *batch]. Where False, the carry is held and the output is zero.
      resets: booleans [T, *batch]. Where True, the initial carry replaces the carry: before the
        step, or after it if time runs backward.
      masks: random masks of each step, [T, *batch, features].
      added_h, added_m: zeros to add to the products with h' [T, *batch, 4H] and to the projections
        of the units' outputs [T, *batch, P]. The loop is differentiated with respect to them.
    """

    z: jax.Array
    valid: jax.Array | None
    resets: jax.Array | None
    masks: cell.Masks = cell.NO_MASKS
    added_h: jax.Array | None = None
    added_m: jax.Array | None = None


class Taken(NamedTuple):
    """One step [*batch, ..]: the carry before it, h' as its product reads it, and its results."""

    before: Carry
    h_read: jax.Array
    gates: cell.Gates
    units: jax.Array
    after: Carry
    valid: jax.Array | None


class States(NamedTuple):
    """Gates and states of the directions of a layer, with leading axes [D, T, *batch].

    Gates [.., H] are zero at skipped steps. c [.., H] and h [.., P] are the carry after the step.
    """

    gates: cell.Gates
    carry: Carry


class _How(NamedTuple):
    """Options of the loop, as for `run`."""

    over: str | None
    unroll: int


def run(
    layer: Layer,
    inputs: Inputs,
    *,
    reverse: tuple[bool, ...],
    dtype: jnp.dtype,
    over: str | None = None,
    unroll: int = 1,
) -> tuple[Carry, jax.Array]:
    """Runs all directions of one layer over a whole sequence; a `recurrence.Recurrence`.

    Args:
      layer: the layer's options.
      inputs: its arrays.
      reverse: for each direction, whether it starts at the last step.
      dtype: dtype of the operands of products.
      over: within shard_map, the mesh axis over which units are sharded. Each device then has
        w_h [D, H, 4 * its units], and h is gathered for the product.
      unroll: number of steps in a loop iteration.

    Returns:
      The last carry and the hidden states [D, T, *batch, P], zero where not valid.
    """
    how = _How(over, unroll)

    def one(params: LayerParams, own: Inputs, steps: Steps, reverse: bool) -> Any:
        return _recurrence(
            layer, reverse, dtype.name, how, params, own.carry, own.initial, steps, own.held
        )

    return _each_direction(one, layer, inputs, reverse, dtype)


def record(
    layer: Layer, inputs: Inputs, *, reverse: tuple[bool, ...], dtype: jnp.dtype
) -> tuple[Carry, States]:
    """As `run`, but returns every gate and state instead of the hidden states."""

    def keep(taken: Taken) -> States:
        gates = cell.Gates(*(masking.where(taken.valid, gate, 0.0) for gate in taken.gates))
        return States(gates, taken.after)

    def one(params: LayerParams, own: Inputs, steps: Steps, reverse: bool) -> Any:
        return loop(layer, reverse, dtype, params, own.carry, own.initial, steps, own.held, keep)

    return _each_direction(one, layer, inputs, reverse, dtype)


def _each_direction(
    one: Callable[..., Any],
    layer: Layer,
    inputs: Inputs,
    reverse: tuple[bool, ...],
    dtype: jnp.dtype,
) -> Any:
    """Stacked results of `one(parameters of the loop, inputs, steps, reverse)` per direction."""
    # All directions read the same inputs and flags.
    shared = {"xs": inputs.xs, "valid": inputs.valid, "resets": inputs.resets}
    made = []
    for d, backwards in enumerate(reverse):
        own = jax.tree.map(lambda a, d=d: a[d], inputs._replace(**dict.fromkeys(shared)))
        own = own._replace(**shared)
        z = cell.from_input(layer, own.params, own.xs, dtype)
        steps = Steps(z, own.valid, own.resets, own.masks)
        made.append(one(_for_loop(own.params, dtype), own, steps, backwards))
    return jax.tree.map(lambda *a: jnp.stack(a), *made)


def _for_loop(params: LayerParams, dtype: jnp.dtype) -> LayerParams:
    """The parameters that the loop reads, with matrices in the dtype of products."""
    projection = None if params.projection is None else params.projection.astype(dtype)
    return params._replace(
        w_x=None, w_h=params.w_h.astype(dtype), projection=projection, initial_carry=None
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3))
def _recurrence(
    layer: Layer,
    reverse: bool,
    dtype: str,
    how: _How,
    params: LayerParams,
    carry: Carry,
    initial: Carry,
    steps: Steps,
    held: cell.Masks,
) -> tuple[Carry, jax.Array]:
    def keep(taken: Taken) -> jax.Array:
        return masking.where(taken.valid, taken.after.h, 0.0)

    wide = jnp.dtype(dtype)
    return loop(layer, reverse, wide, params, carry, initial, steps, held, keep, **how._asdict())


@_recurrence.defjvp
def _recurrence_jvp(
    layer: Layer, reverse: bool, dtype: str, how: _How, primals: Any, tangents: Any
) -> tuple[Any, Any]:
    params, carry, initial, steps, held = primals
    d_params, d_carry, d_initial, d_steps, _ = tangents
    wide = jnp.dtype(dtype)
    small, d_small = (_small(p) for p in (params, d_params))

    def keep(taken: Taken) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        return masking.where(taken.valid, taken.after.h, 0.0), (taken.h_read, taken.units)

    def from_products(
        small: Any, carry: Carry, initial: Carry, z: jax.Array, added: tuple[Any, Any]
    ) -> tuple[Any, Any]:
        own = small._replace(w_h=params.w_h, projection=params.projection)
        moved = steps._replace(z=z, added_h=added[0], added_m=added[1])
        last, (hs, read) = loop(
            layer, reverse, wide, own, carry, initial, moved, held, keep, **how._asdict()
        )
        return (last, hs), read

    # A tangent of the product with h' can be added to that of z, unless the two are normalised.
    apart = params.norms is not None
    added_h = device_types.zeros_like(steps.z) if apart else None
    added_m = None
    if params.projection is not None:
        zero = device_types.zeros_like(steps.z[..., :1])
        added_m = zero + cell.of_rank(jnp.zeros_like(params.projection[0], zero.dtype), zero)
    out, push, (hs_read, units) = jax.linearize(
        from_products, small, carry, initial, steps.z, (added_h, added_m), has_aux=True
    )
    d_h = cell.product(hs_read, d_params.w_h, wide)
    d_m = None if added_m is None else cell.product(units, d_params.projection, wide)
    d_z = d_steps.z if apart else d_steps.z + d_h
    return out, push(d_small, d_carry, d_initial, d_z, (d_h if apart else None, d_m))


def _small(params: LayerParams) -> LayerParams:
    return params._replace(w_h=None, projection=None)  # type: ignore[arg-type]


def loop(
    layer: Layer,
    reverse: bool,
    dtype: jnp.dtype,
    params: LayerParams,
    carry: Carry,
    initial: Carry,
    steps: Steps,
    held: cell.Masks,
    keep: Callable[[Taken], Any],
    *,
    unroll: int = 1,
    over: str | None = None,
) -> tuple[Carry, Any]:
    """The scan itself.

    Args:
      layer, dtype, over, unroll: as for `run`.
      reverse: whether it starts at the last step.
      params: the parameters of one direction that the loop reads.
      carry, initial: Carry [*batch, ..]; a reset replaces `carry` by `initial`.
      steps: the arrays that vary with time.
      held: random masks of all steps [*batch, ..].
      keep: function from the Taken of a step to the values to stack.

    Returns:
      The last carry, and the stacked results of `keep`, leading axis T.
    """

    def body(carry: Carry, step: Steps) -> tuple[Carry, Any]:
        if not reverse:
            carry = masking.select(step.resets, initial, carry)
        held_carry = carry
        if step.valid is not None:
            # A held carry may be NaN. Without this, it would reach gradients through skipped steps.
            carry = Carry(*(masking.where(step.valid, a, 0.0) for a in carry))
        masks = cell.Masks(*(b if a is None else a for a, b in zip(step.masks, held, strict=True)))
        h_read = cell.read(carry, masks)
        if over is not None:
            h_read = lax.all_gather(h_read, over, axis=h_read.ndim - 1, tiled=True)
        z_h = cell.added(cell.product(h_read, params.w_h, dtype), step.added_h)
        z = cell.pre_activations(layer, params, step.z, z_h)
        gates, c, units = cell.advance(layer, params, z, carry, masks)
        h = cell.projected(layer, params, units, dtype, step.added_m)
        after = cell.zoned_out(layer, carry, Carry(c, h), masks)
        after = after if step.valid is None else masking.select(step.valid, after, held_carry)
        stacked = keep(Taken(carry, h_read, gates, units, after, step.valid))
        if reverse:
            after = masking.select(step.resets, initial, after)
        return after, stacked

    return lax.scan(body, carry, steps, reverse=reverse, unroll=unroll)
