"""Carries as Flax's RNN and Bidirectional have them: (c, h), or one (c, h) a direction."""

from typing import Any

import jax
import jax.numpy as jnp

from jlstm.config import Config
from jlstm.dtypes import state_dtype
from jlstm.layer import Layer
from jlstm.params import Carries, Carry


def from_flax(config: Config, stack: bool, given: Any) -> Carries:
    """The carry of `apply` from (c, h), or ((c, h), (c, h)) for two directions.

    A stack has a tuple of these, one a layer.

    Raises:
      TypeError, ValueError: `given` has another form.
    """
    listed = given if stack else (given,)
    if not isinstance(listed, (tuple, list)) or len(listed) != len(config.layers):
        raise TypeError(
            f"initial_carry is {_form(given)}; expected a tuple with one carry for each of the "
            f"{len(config.layers)} layers"
        )
    made = []
    for n, (layer, own) in enumerate(zip(config.layers, listed, strict=True)):
        what = f"initial_carry[{n}]" if stack else "initial_carry"
        if not layer.bidirectional:
            made.append(Carry(*_pair(what, own, "(c, h)")))
            continue
        ways = _pair(what, own, "((c, h), (c, h)), forward and backward")
        both = [_pair(f"{what}[{d}]", way, "(c, h)") for d, way in enumerate(ways)]
        made.append(Carry(*(jnp.stack(arrays) for arrays in zip(*both, strict=True))))
    return tuple(made)


def to_flax(config: Config, stack: bool, carries: Carries, like: Any = None) -> Any:
    """The inverse of `from_flax`. Tuples are those of `like`, so that a scan can carry it."""
    made = []
    for layer, own in zip(config.layers, carries, strict=True):
        both = (
            (Carry(own.c[0], own.h[0]), Carry(own.c[1], own.h[1])) if layer.bidirectional else own
        )
        made.append(both)
    form = tuple(made) if stack else made[0]
    if like is None:
        return form
    return jax.tree.unflatten(jax.tree.structure(like), jax.tree.leaves(form))


def drawn(
    key: jax.Array, layer: Layer, batch: tuple[int, ...], dtype: str, initializer: Any
) -> Carry:
    """One layer's carry from an initializer (key, shape, dtype), with a leading 2 for two ways."""
    ways = (2,) if layer.bidirectional else ()
    k_c, k_h = jax.random.split(key)
    return Carry(
        initializer(k_c, (*ways, *batch, layer.hidden_size), state_dtype(dtype)),
        initializer(k_h, (*ways, *batch, layer.state_size), state_dtype(dtype)),
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
