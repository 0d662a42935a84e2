"""The recurrence as a lax.scan: serves every platform, and is what others are tested against.

The input products of all steps are one product before the loop. So are the weight gradients after
it, though no derivative is written here: towards first order, moving W_h by dW_h moves z at each
step just as moving the input product by h' dW_h does, where h' is the hidden state that the step
read. The derivative of the loop is therefore taken with respect to the input products alone, and
the one product of all h' with dW_h is added to their tangents. Transposed, that is the sum over
time of h' times the gradient of z, which a plain scan would add up step by step.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jlstm import cell
from jlstm.params import Carry, LayerParams


class Steps(NamedTuple):
    """What varies with time, leading axis T; None where a call has no such thing.

    Attributes:
      z: input products [T, *batch, 4H].
      valid: booleans [T, *batch]; elsewhere the carry is held and the output zero.
      resets: booleans [T, *batch]; there the carry is replaced by the initial one before the
        step, or after it where time runs backwards.
    """

    z: jax.Array
    valid: jax.Array | None
    resets: jax.Array | None


class States(NamedTuple):
    """What the directions of a layer computed, leading axes [D, T, *batch], H features each.

    Gates are zero where no step was taken; c and h are the carry after the step.
    """

    gates: cell.Gates
    carry: Carry


def run(
    params: LayerParams,
    carry: Carry,
    xs: jax.Array,
    *,
    initial: Carry,
    valid: jax.Array | None,
    resets: jax.Array | None,
    reverse: tuple[bool, ...],
    dtype: jnp.dtype,
) -> tuple[Carry, jax.Array]:
    """All directions of one layer over a whole sequence.

    Args:
      params: parameters of D directions, their leading axis.
      carry: Carry [D, *batch, H] in the state's dtype.
      xs: inputs [T, *batch, I].
      initial: what a reset puts into the carry, broadcastable to it.
      valid: as in Steps.
      resets: as in Steps.
      reverse: for each direction, whether it starts at the last step.
      dtype: what products are taken in.

    Returns:
      The last carry and the hidden states [D, T, *batch, H], zero where not valid.
    """

    def one(params: LayerParams, carry: Carry, initial: Carry, reverse: bool) -> Any:
        steps = Steps(cell.from_input(params, xs, dtype), valid, resets)
        return _recurrence(reverse, params.w_h.astype(dtype), carry, initial, steps)

    return _each_direction(one, reverse, params, carry, initial)


def record(
    params: LayerParams,
    carry: Carry,
    xs: jax.Array,
    *,
    initial: Carry,
    valid: jax.Array | None,
    resets: jax.Array | None,
    reverse: tuple[bool, ...],
    dtype: jnp.dtype,
) -> tuple[Carry, States]:
    """As `run`, but returns every gate and state in place of the hidden states."""

    def keep(before: Carry, gates: cell.Gates, after: Carry, valid: Any) -> States:
        return States(cell.Gates(*(where(valid, gate, 0.0) for gate in gates)), after)

    def one(params: LayerParams, carry: Carry, initial: Carry, reverse: bool) -> Any:
        steps = Steps(cell.from_input(params, xs, dtype), valid, resets)
        return loop(reverse, params.w_h.astype(dtype), carry, initial, steps, keep)

    return _each_direction(one, reverse, params, carry, initial)


def _each_direction(one: Any, reverse: tuple[bool, ...], *own: Any) -> Any:
    made = [one(*jax.tree.map(lambda a, d=d: a[d], own), r) for d, r in enumerate(reverse)]
    return jax.tree.map(lambda *a: jnp.stack(a), *made)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _recurrence(
    reverse: bool, w_h: jax.Array, carry: Carry, initial: Carry, steps: Steps
) -> tuple[Carry, jax.Array]:
    return loop(reverse, w_h, carry, initial, steps, _outputs)


@_recurrence.defjvp
def _recurrence_jvp(reverse: bool, primals: Any, tangents: Any) -> tuple[Any, Any]:
    w_h, carry, initial, steps = primals
    dw_h, dcarry, dinitial, dsteps = tangents

    def from_products(carry: Carry, initial: Carry, z: jax.Array) -> tuple[Any, jax.Array]:
        last, (hs, hs_before) = loop(
            reverse, w_h, carry, initial, steps._replace(z=z), _outputs_and_reads
        )
        return (last, hs), hs_before

    out, push, hs_before = jax.linearize(from_products, carry, initial, steps.z, has_aux=True)
    return out, push(dcarry, dinitial, dsteps.z + cell.product(hs_before, dw_h, w_h.dtype))


def loop(
    reverse: bool, w_h: jax.Array, carry: Carry, initial: Carry, steps: Steps, keep: Any
) -> tuple[Carry, Any]:
    """The scan itself; `keep(carry read, gates, carry after, valid)` says what it stacks."""

    def body(carry: Carry, step: Steps) -> tuple[Carry, Any]:
        if not reverse:
            carry = select(step.resets, initial, carry)
        gates, after = cell.advance(step.z + cell.product(carry.h, w_h, w_h.dtype), carry.c)
        after = after if step.valid is None else select(step.valid, after, carry)
        kept = keep(carry, gates, after, step.valid)
        if reverse:
            after = select(step.resets, initial, after)
        return after, kept

    return lax.scan(body, carry, steps, reverse=reverse)


def _outputs(before: Carry, gates: cell.Gates, after: Carry, valid: Any) -> jax.Array:
    return where(valid, after.h, 0.0)


def _outputs_and_reads(
    before: Carry, gates: cell.Gates, after: Carry, valid: Any
) -> tuple[jax.Array, jax.Array]:
    return where(valid, after.h, 0.0), before.h


def select(flags: jax.Array | None, chosen: Carry | None, otherwise: Carry) -> Carry:
    """`chosen` where the flags [*batch] are True, the whole of `otherwise` without flags."""
    if flags is None or chosen is None:
        return otherwise
    return Carry(*(where(flags, a, b) for a, b in zip(chosen, otherwise, strict=True)))


def where(flags: jax.Array | None, chosen: Any, otherwise: Any) -> jax.Array:
    """`chosen` [..., H] where the flags [...] are True (everywhere without flags)."""
    return chosen if flags is None else jnp.where(flags[..., None], chosen, otherwise)
