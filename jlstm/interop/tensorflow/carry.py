"""Conversion of states of TensorFlow 1's cells to carries and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.config import Config, require_config
from jlstm.params import Carry


def carry_from_tensorflow(config: Config, state: Any) -> tuple[Carry, ...]:
    """The carry of a TensorFlow 1 state.

    The state has (c, h) per layer or, with state_is_tuple=False, [B, H + P] per layer. One array
    [B, sum of H + P] for the whole stack is also accepted.

    Args:
      config: the network.
      state: the state, as arrays.

    Returns:
      One Carry(c [B, H], h [B, P]) per layer, in the dtype of the state.

    Raises:
      ValueError: the state's layers or sizes do not fit the config, or a layer is bidirectional.
      TypeError: the state does not hold arrays, or `config` is not a Config.

    >>> carry_from_tensorflow(Config.stack(6, [1, 2]), np.arange(6.0)[None])[1].c.tolist()
    [[2.0, 3.0]]
    """
    import jax.numpy as jnp

    require_config(config)
    sizes = [size for layer in config.layers for size in (layer.hidden_size, layer.state_size)]
    if any(layer.bidirectional for layer in config.layers):
        raise ValueError(
            "TensorFlow 1 has one state per direction; convert each direction separately"
        )
    if not isinstance(state, (tuple, list)):
        arrays = np.split(_array(state), np.cumsum(sizes)[:-1], -1)
    else:
        one = len(config.layers) == 1 and len(state) == 2 and np.ndim(state[0]) == 2
        layers = [state] if one else state
        if len(layers) != len(config.layers):
            raise ValueError(
                f"the state has {len(layers)} layers; expected {len(config.layers)}, as in the "
                "config: one pair (c, h) per layer"
            )
        arrays = []
        for n, (layer, own) in enumerate(zip(config.layers, layers, strict=True)):
            if not isinstance(own, (tuple, list)):
                own = np.split(_array(own), [layer.hidden_size], -1)
            if len(own) != 2:
                raise ValueError(f"the state of layer {n} has {len(own)} arrays; expected (c, h)")
            arrays += [_array(a) for a in own]
    found = [a.shape[-1] for a in arrays]
    if found != sizes:
        raise ValueError(f"the state's arrays have {found} features; expected {sizes}")
    if len({a.shape[0] for a in arrays}) > 1:
        raise ValueError(
            f"the state's arrays have batch sizes {[a.shape[0] for a in arrays]}; expected one size"
        )
    return tuple(
        Carry(jnp.asarray(c), jnp.asarray(h))
        for c, h in zip(arrays[::2], arrays[1::2], strict=True)
    )


def carry_to_tensorflow(
    carry: Sequence[Carry], *, state_is_tuple: bool = True
) -> tuple[tuple[np.ndarray, np.ndarray], ...] | np.ndarray:
    """The inverse of `carry_from_tensorflow`.

    Args:
      carry: one Carry per layer.
      state_is_tuple: whether to return (c, h) per layer, or one array for the whole stack.

    Returns:
      ((c [B, H], h [B, P]), ...) or one array [B, sum of H + P], in the dtype of the carry.

    Raises:
      TypeError: `carry` is not a sequence of one Carry per layer.
      ValueError: a layer's carry is bidirectional.

    >>> carry = [Carry(np.zeros((1, 4)), np.zeros((1, 3)))]
    >>> carry_to_tensorflow(carry, state_is_tuple=False).shape
    (1, 7)
    """
    if isinstance(carry, Carry) or not all(isinstance(own, Carry) for own in carry):
        raise TypeError(
            "carry does not hold one Carry per layer; expected the carry that apply returns"
        )
    for n, own in enumerate(carry):
        if np.ndim(own.c) != 2 or np.ndim(own.h) != 2:
            raise ValueError(
                f"the carry of layer {n} has shape {list(np.shape(own.c))}; expected [B, H]. "
                "TensorFlow 1 has one state per direction: convert each direction separately"
            )
    pairs = tuple((np.asarray(own.c), np.asarray(own.h)) for own in carry)
    return pairs if state_is_tuple else np.concatenate([a for pair in pairs for a in pair], -1)


def _array(value: Any) -> np.ndarray:
    made = np.asarray(value)
    if made.dtype.kind not in "fV":
        raise TypeError(
            f"the state holds {made.dtype}; expected arrays, as session.run(state) returns"
        )
    if made.ndim != 2:
        raise ValueError(f"the state holds an array of shape {list(made.shape)}; expected [B, H]")
    return made
