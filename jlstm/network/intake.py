"""Converts and checks the arrays of a call, once, and moves time to their first axis."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm import arguments


class Sequences(NamedTuple):
    """The sequences of a call, with their lengths, mask and resets, each None if not passed.

    Attributes:
      xs: inputs [T, *batch, I]. If time_major=False, [*batch, T, I] until `checked` moves time.
      lengths: [*batch] whole numbers.
      mask: [T, *batch] booleans, or [*batch, T]; False marks padding.
      resets: booleans like mask; True replaces the carry by the initial one before that step.
    """

    xs: jax.Array
    lengths: jax.Array | None
    mask: jax.Array | None
    resets: jax.Array | None


def arrays(xs: Any, lengths: Any, mask: Any, resets: Any, *, time_major: bool) -> Sequences:
    """The arguments of a call as arrays.

    Lengths are compared with the number of steps here, outside the compiled function, because
    inside it their values are unknown.

    Raises:
      TypeError: an argument is not an array.
      ValueError: a length is below 0 or above the number of steps.
    """
    xs = arguments.as_array("xs", xs)
    named = {"lengths": lengths, "mask": mask, "resets": resets}
    made = {n: None if a is None else arguments.as_array(n, a) for n, a in named.items()}
    if made["lengths"] is not None and xs.ndim > 1:
        arguments.length_values(made["lengths"], xs.shape[0 if time_major else -2])
    return Sequences(xs, **made)


def checked(given: Sequences, input_size: int, *, time_major: bool) -> Sequences:
    """The arrays of a call as JAX arrays, checked, with time as their first axis.

    Args:
      given: the result of `arrays`.
      input_size: features I of the network's input.
      time_major: whether time is the first axis of `given` already.

    Raises:
      TypeError, ValueError: a shape or dtype does not fit.
    """
    layout = ("T", "*batch", "I") if time_major else ("*batch", "T", "I")
    arguments.features("xs", given.xs, layout, input_size)
    shape = given.xs.shape[:-1]
    time_steps, batch_shape = (shape[0], shape[1:]) if time_major else (shape[-1], shape[:-1])
    order = f"{time_steps} time steps by batch {batch_shape}"
    for name, flags in (("mask", given.mask), ("resets", given.resets)):
        if flags is not None and time_major:
            arguments.flags(name, flags, shape, order, either_major=True)
        elif flags is not None:
            arguments.flags(name, flags, shape, "batch by time steps")
    if given.lengths is not None:
        arguments.lengths(given.lengths, batch_shape, time_steps)
    given = jax.tree.map(jnp.asarray, given)
    if time_major:
        return given
    mask, resets = (a if a is None else jnp.moveaxis(a, -1, 0) for a in given[2:])
    return Sequences(jnp.moveaxis(given.xs, -2, 0), given.lengths, mask, resets)
