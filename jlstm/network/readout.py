"""A linear readout of a network's last output: the scores of classes."""

from typing import Any

import jax
import jax.numpy as jnp

from jlstm import arguments, masking
from jlstm.config import Config
from jlstm.dtypes import require_floating

# The names of its weights and bias in a file.
NAMES = ("readout.w", "readout.b")


def last_output(ys: jax.Array, lengths: jax.Array | None, time_major: bool) -> jax.Array:
    """The outputs [B, O] at the last step, or at the last step within `lengths` [B].

    The output of a sequence of length 0 is zero. Lengths above T count as T.

    Args:
      ys: the outputs [T, B, O] that `apply` returned for these lengths; [B, T, O] if not
        `time_major`.
      lengths: the lengths, or None.
      time_major: whether time is the first axis of `ys`.
    """
    axis = 0 if time_major else 1
    if lengths is None:
        return jax.lax.index_in_dim(ys, -1, axis, keepdims=False)
    last = jnp.expand_dims(jnp.minimum(masking.in_int32(lengths), ys.shape[axis]) - 1, axis)
    steps = jnp.expand_dims(jnp.arange(ys.shape[axis], dtype="int32"), 1 - axis)
    # Indexing would not do: JAX refuses it for a batch that may be empty.
    chosen = jnp.expand_dims(steps == last, 2)
    return jnp.where(chosen, ys, jnp.zeros((), ys.dtype)).sum(axis)


def scores(w: jax.Array, b: jax.Array, outputs: jax.Array) -> jax.Array:
    """Scores [B, classes] from outputs [B, O], in the dtype of `w` [O, classes]."""
    return outputs.astype(w.dtype) @ w + b[None]


def checked(config: Config, readout: Any) -> tuple[Any, Any]:
    """`readout` as arrays, if it is (w [O, classes], b [classes]) and fits the network.

    Raises:
      TypeError, ValueError: it is something else, or does not fit.
    """
    if not isinstance(readout, tuple) or len(readout) != 2:
        raise TypeError(
            f"readout is {type(readout).__name__}; expected a pair of arrays: the weights w "
            "[O, classes] and the bias b [classes]"
        )
    if config.layers[-1].bidirectional and config.layers[-1].merge == "none":
        raise ValueError(
            "the last layer has merge='none', which keeps two outputs apart, but a readout reads "
            "one; use another merge"
        )
    w, b = (arguments.as_array(f"readout[{n}]", a) for n, a in enumerate(readout))
    if w.ndim != 2 or w.shape[0] != config.output_size or b.shape != w.shape[1:]:
        raise ValueError(
            f"readout has weights {w.shape} and a bias {b.shape}; expected "
            f"({config.output_size}, classes) and (classes,) for a network with "
            f"{config.output_size} output features"
        )
    for n, a in enumerate((w, b)):
        require_floating(f"readout[{n}]", a.dtype)
    return w, b
