"""Carries in the form of Flax's RNN and Bidirectional: (c, h), or one (c, h) per direction."""

from typing import Any

import jax
import jax.numpy as jnp

from jlstm.config import Config
from jlstm.dtypes import state_dtype
from jlstm.layer import Layer
from jlstm.params import Carries, Carry


def from_flax(config: Config, stack: bool, carry: Any) -> Carries:
    """The carry of `apply` from (c, h), or ((c, h), (c, h)) for two directions.

    A stack has a tuple of these, one per layer.

    Raises:
      TypeError: `carry` has another form.
    """
    per_layer = carry if stack else (carry,)
    if not isinstance(per_layer, (tuple, list)) or len(per_layer) != len(config.layers):
        raise TypeError(
            f"initial_carry is {_form(carry)}; expected a tuple with one carry for each of the "
            f"{len(config.layers)} layers"
        )
    result = []
    for n, (layer, each) in enumerate(zip(config.layers, per_layer, strict=True)):
        what = f"initial_carry[{n}]" if stack else "initial_carry"
        if not layer.bidirectional:
            result.append(Carry(*_pair(what, each, "(c, h)")))
            continue
        directions = _pair(what, each, "((c, h), (c, h)), forward and backward")
        pairs = [_pair(f"{what}[{d}]", pair, "(c, h)") for d, pair in enumerate(directions)]
        result.append(Carry(*(jnp.stack(arrays) for arrays in zip(*pairs, strict=True))))
    return tuple(result)


def to_flax(config: Config, stack: bool, carries: Carries, like: Any = None) -> Any:
    """The inverse of `from_flax`. Tuples are those of `like`, so that a scan can carry it."""
    per_layer = tuple(
        (Carry(each.c[0], each.h[0]), Carry(each.c[1], each.h[1])) if layer.bidirectional else each
        for layer, each in zip(config.layers, carries, strict=True)
    )
    carry = per_layer if stack else per_layer[0]
    if like is None:
        return carry
    return jax.tree.unflatten(jax.tree.structure(like), jax.tree.leaves(carry))


def initialize(
    key: jax.Array, layer: Layer, batch: tuple[int, ...], dtype: str, initializer: Any
) -> Carry:
    """One layer's carry from an initializer (key, shape, dtype), [2, ...] for two directions."""
    directions = (2,) if layer.bidirectional else ()
    k_c, k_h = jax.random.split(key)
    return Carry(
        initializer(k_c, (*directions, *batch, layer.hidden_size), state_dtype(dtype)),
        initializer(k_h, (*directions, *batch, layer.state_size), state_dtype(dtype)),
    )


def _pair(what: str, value: Any, expected: str) -> Any:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{what} is {_form(value)}; expected {expected}")
    return value


def _form(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"an array of shape {list(shape)}"
