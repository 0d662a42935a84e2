"""The arrays of a call: converted once, checked once, and brought into one order."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm import arguments


class Sequences(NamedTuple):
    """The sequences of a call, and what it says about their time; None for what it does not say.

    Attributes:
      xs: inputs [T, *batch, I], or [*batch, T, I] where time is not the first axis.
      lengths: [*batch] whole numbers.
      mask: [T, *batch] booleans, or [*batch, T]; False marks padding.
      resets: booleans like mask; True starts the carry anew before that step.
    """

    xs: jax.Array
    lengths: jax.Array | None
    mask: jax.Array | None
    resets: jax.Array | None


def arrays(xs: Any, lengths: Any, mask: Any, resets: Any, *, time_major: bool) -> Sequences:
    """The arguments of a call as arrays.

    Lengths are compared with the number of steps here, outside of what is compiled, where their
    values may be known.

    Raises:
      TypeError: one of them is no array.
      ValueError: a length is below 0, or beyond the last step.
    """
    xs = arguments.as_array("xs", xs)
    named = {"lengths": lengths, "mask": mask, "resets": resets}
    made = {n: None if a is None else arguments.as_array(n, a) for n, a in named.items()}
    if made["lengths"] is not None and xs.ndim > 1:
        arguments.length_values(made["lengths"], xs.shape[0 if time_major else -2])
    return Sequences(xs, **made)


def checked(given: Sequences, input_size: int, *, time_major: bool) -> Sequences:
    """The arrays of a call as JAX's, with time as the first axis.

    Args:
      given: what `arrays` returned.
      input_size: features I that the network takes.
      time_major: whether time is the first axis already.

    Raises:
      TypeError, ValueError: a shape or dtype that does not fit.
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
