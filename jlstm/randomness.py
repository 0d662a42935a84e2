"""Random masks from a call's key: dropout of inputs, h, candidate and weights, and zoneout.

All masks are drawn before the loop over time. At a step whose key is k, layer n draws the mask of
its inputs from fold_in(k, n) and its other masks from fold_in(fold_in(k, n), j). This holds for a
single step and for a step of a sequence alike. Masks held over a sequence are drawn in the same way
from the call's key.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm.cell import NO_MASKS, Masks
from jlstm.dtypes import state_dtype
from jlstm.layer import Layer
from jlstm.params import LayerParams

# The number j of each mask.
H, CANDIDATE, ZONEOUT_C, ZONEOUT_H, WEIGHTS = range(1, 6)


class Keys(NamedTuple):
    """Random keys: one for each of T steps [T], or that of one step, and that of the sequence.

    A single step may not know the key of its sequence, which is None then.
    """

    steps: jax.Array
    whole: Any  # an array, or None


def keys(key: jax.Array, time_steps: int) -> Keys:
    """The keys of a call over T steps, from the call's key."""
    return Keys(jax.random.split(key, time_steps), key)


def drop_inputs(keys: Keys, n: int, layer: Layer, xs: jax.Array) -> jax.Array:
    """xs [T, *batch, I] with the layer's fraction of inputs dropped."""
    if layer.dropout == 0.0:
        return xs
    if layer.held_masks:
        return _drop(jax.random.fold_in(keys.whole, n), layer.dropout, xs, xs.shape[1:])
    return _each_step(lambda of: drop_input(of[0], n, layer, of[1]), keys.steps, xs)


def drop_input_of_step(keys: Keys, n: int, layer: Layer, x: jax.Array) -> jax.Array:
    """x [*batch, I] of one step with the layer's fraction of inputs dropped."""
    return drop_input(_held_or_of_step(keys, layer), n, layer, x)


def drop_input(key: jax.Array, n: int, layer: Layer, x: jax.Array) -> jax.Array:
    """x [*batch, I] of one step with the layer's fraction of inputs dropped."""
    if layer.dropout == 0.0:
        return x
    return _drop(jax.random.fold_in(key, n), layer.dropout, x, x.shape)


def masks(
    keys: Keys | None, n: int, layer: Layer, batch_shape: tuple[int, ...], dtype: jnp.dtype
) -> tuple[Masks, Masks]:
    """The recurrent masks of each step [D, T, *batch, ..], and those held [D, *batch, ..]."""
    if keys is None:
        return NO_MASKS, NO_MASKS
    shape = (2 if layer.bidirectional else 1, *batch_shape)

    def of_step(of: tuple[jax.Array]) -> Masks:
        (key,) = of
        dropped = NO_MASKS if layer.held_masks else _dropped(key, n, layer, shape, dtype)
        return _with_zoneout(dropped, key, n, layer, shape)

    varying = jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0), _each_step(of_step, keys.steps))
    held = _dropped(keys.whole, n, layer, shape, dtype) if layer.held_masks else NO_MASKS
    return varying, held


def step_masks(
    keys: Keys | None, n: int, layer: Layer, batch_shape: tuple[int, ...], dtype: jnp.dtype
) -> Masks:
    """The recurrent masks [*batch, ..] of one step."""
    if keys is None:
        return NO_MASKS
    shape = (1, *batch_shape)
    dropped = _dropped(_held_or_of_step(keys, layer), n, layer, shape, dtype)
    return jax.tree.map(lambda a: a[0], _with_zoneout(dropped, keys.steps, n, layer, shape))


def drop_weights(keys: Keys | None, n: int, layer: Layer, params: LayerParams) -> LayerParams:
    """Parameters with the layer's fraction of w_h dropped, the same for all steps."""
    if keys is None or layer.weight_dropout == 0.0:
        return params
    key, w_h = _key(keys.whole, n, WEIGHTS), params.w_h
    return params._replace(w_h=_drop(key, layer.weight_dropout, w_h, w_h.shape))


def _held_or_of_step(keys: Keys, layer: Layer) -> jax.Array:
    """The key that a step's dropout masks are drawn from."""
    return keys.whole if layer.held_masks else keys.steps


def _dropped(
    key: jax.Array, n: int, layer: Layer, shape: tuple[int, ...], dtype: jnp.dtype
) -> Masks:
    chance, state = layer.recurrent_dropout, state_dtype(dtype)
    if chance == 0.0:
        return NO_MASKS
    if layer.recurrent_dropout_on == "h":
        return Masks(h=_scaled(_key(key, n, H), chance, (*shape, layer.state_size), state))
    return Masks(g=_scaled(_key(key, n, CANDIDATE), chance, (*shape, layer.hidden_size), state))


def _with_zoneout(
    masks: Masks, key: jax.Array, n: int, layer: Layer, shape: tuple[int, ...]
) -> Masks:
    def kept(which: int, chance: float, size: int) -> jax.Array | None:
        if chance == 0.0:
            return None
        return jax.random.bernoulli(_key(key, n, which), chance, (*shape, size))

    return masks._replace(
        c_kept=kept(ZONEOUT_C, layer.zoneout_c, layer.hidden_size),
        h_kept=kept(ZONEOUT_H, layer.zoneout_h, layer.state_size),
    )


def _key(key: jax.Array, n: int, which: int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(key, n), which)


def _each_step(draw: Callable[..., Any], keys: jax.Array, *of_steps: jax.Array) -> Any:
    """`draw((key, ..))` for each step, with the step's key and its slices of `of_steps`."""
    if str(jax.random.key_impl(keys)) == "threefry2x32":
        return jax.vmap(lambda *of: draw(of))(keys, *of_steps)
    # Under vmap, the other generators draw different numbers than for the same key alone.
    return jax.lax.map(draw, (keys, *of_steps))


def _drop(key: jax.Array, dropped: float, a: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """`a` times a dropout mask of this shape."""
    # In bfloat16 the rounding of 1/(1-p) would shift the mean of `a`.
    mask = _scaled(key, dropped, shape, state_dtype(a.dtype))
    wide = a.astype(mask.dtype)
    return (wide * jax.lax.expand_dims(mask, range(a.ndim - mask.ndim))).astype(a.dtype)


def _scaled(key: jax.Array, dropped: float, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
    """A mask with 0 for the dropped elements and 1/(1-dropped) for the rest, of mean 1."""
    keep = jax.random.bernoulli(key, 1.0 - dropped, shape)
    return keep.astype(dtype) / jnp.asarray(1.0 - dropped, dtype)
