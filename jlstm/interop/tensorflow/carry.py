"""States of TensorFlow 1's cells, to and from carries."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jlstm.config import Config, require_config
from jlstm.params import Carry


def carry_from_tensorflow(config: Config, state: Any) -> tuple[Carry, ...]:
    """A carry from a TensorFlow 1 state: (c, h) a layer, or [B, H + P] with state_is_tuple=False.

    A whole stack's state that is no tuple, [B, sum of H + P], is taken apart as well.

    Raises:
      ValueError: the state has other layers or sizes than the config, or two directions.
      TypeError: it holds no arrays, or `config` is no Config.

    >>> carry_from_tensorflow(Config.stack(6, [1, 2]), np.arange(6.0)[None])[1].c.tolist()
    [[2.0, 3.0]]
    """
    import jax.numpy as jnp

    require_config(config)
    sizes = [size for layer in config.layers for size in (layer.hidden_size, layer.state_size)]
    if any(layer.bidirectional for layer in config.layers):
        raise ValueError("TensorFlow 1 keeps one state a direction; convert each on its own")
    if not isinstance(state, (tuple, list)):
        arrays = np.split(_array(state), np.cumsum(sizes)[:-1], -1)
    else:
        one = len(config.layers) == 1 and len(state) == 2 and np.ndim(state[0]) == 2
        layers = [state] if one else state
        if len(layers) != len(config.layers):
            raise ValueError(
                f"the state is of {len(layers)} layers; expected {len(config.layers)}, as the "
                "config has: a pair (c, h) each"
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
            f"the state's arrays are of batches of {[a.shape[0] for a in arrays]}; expected one"
        )
    return tuple(
        Carry(jnp.asarray(c), jnp.asarray(h))
        for c, h in zip(arrays[::2], arrays[1::2], strict=True)
    )


def carry_to_tensorflow(
    carry: Sequence[Carry], *, state_is_tuple: bool = True
) -> tuple[tuple[np.ndarray, np.ndarray], ...] | np.ndarray:
    """The opposite of `carry_from_tensorflow`.

    Raises:
      TypeError: `carry` is no sequence with one Carry a layer.
      ValueError: it is of two directions.
    """
    if isinstance(carry, Carry) or not all(isinstance(own, Carry) for own in carry):
        raise TypeError("carry does not hold a Carry for each layer; expected what apply returns")
    for n, own in enumerate(carry):
        if np.ndim(own.c) != 2 or np.ndim(own.h) != 2:
            raise ValueError(
                f"the carry of layer {n} is {list(np.shape(own.c))}; expected [B, H], as "
                "TensorFlow 1 keeps one state a direction: convert each on its own"
            )
    pairs = tuple((np.asarray(own.c), np.asarray(own.h)) for own in carry)
    return pairs if state_is_tuple else np.concatenate([a for pair in pairs for a in pair], -1)


def _array(value: Any) -> np.ndarray:
    made = np.asarray(value)
    if made.dtype.kind not in "fV":
        raise TypeError(f"the state holds {made.dtype}; expected arrays: session.run(state)")
    if made.ndim != 2:
        raise ValueError(f"the state holds an array of shape {list(made.shape)}; expected [B, H]")
    return made
