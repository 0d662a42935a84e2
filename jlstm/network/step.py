"""Runs the stack of layers, or one layer, for one step."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jlstm import arguments, cell, masking, quantized, randomness
from jlstm.config import Config, require_config
from jlstm.keys import require_key
from jlstm.layer import Layer
from jlstm.network.gathering import gathered
from jlstm.params import Array, Carries, Carry, LayerParams, Params
from jlstm.randomness import Keys


def step(
    config: Config,
    params: Params,
    carry: Carries | None,
    x: Array,
    *,
    reset: Array | None = None,
    key: jax.Array | None = None,
) -> tuple[Carries, jax.Array]:
    """Runs the stack for one step, as `apply` does at each step of a sequence.

    Args:
      config: the network.
      params: its parameters.
      carry: one Carry per layer; None for the initial carry.
      x: input [*batch, I], floating point.
      reset: [*batch] booleans. True replaces the carry by the initial carry before the step.
      key: a random key; without one nothing is dropped. `apply` with a key k gives the same results
        as T steps with the keys jax.random.split(k, T).

    Returns:
      The carry after the step, and the output [*batch, P] in config.dtype.

    Raises:
      TypeError, ValueError: arguments do not fit, a layer is bidirectional or runs backward, or a
        key is passed and a layer has held_masks or weight_dropout.

    >>> config = Config.stack(6, [4, 5])
    >>> from jlstm.params import init
    >>> carry, y = step(config, init(jax.random.key(0), config), None, jnp.ones((2, 6)))
    >>> y.shape
    (2, 5)
    """
    require_config(config)
    keys = None
    if key is not None:
        require_key(key)
        keys = Keys(key, None)
    x = arguments.as_array("x", x)
    reset = None if reset is None else arguments.as_array("reset", reset)
    return _step(config, params, carry, x, reset, keys)


def step_of_sequence(
    config: Config, params: Params, carry: Carries, x: jax.Array, keys: Keys | None
) -> tuple[Carries, jax.Array]:
    """Runs the stack for one step of a sequence whose key is known, unlike `step`.

    So layers may hold masks and drop weights over the sequence.

    Args:
      config, params, carry, x: as for `step`.
      keys: the key of this step, and that of the sequence. None: nothing is dropped.
    """
    return _step(config, params, carry, x, None, keys)


@functools.partial(jax.jit, static_argnums=0)
def _step(config: Config, params: Params, carry: Any, x: Any, reset: Any, keys: Keys | None) -> Any:
    arguments.forward_in_time(config.layers)
    if keys is not None and keys.whole is None:
        arguments.nothing_held(config.layers)
    arguments.params(config, params)
    arguments.features("x", x, ("*batch", "I"), config.input_size)
    batch_shape, dtype = x.shape[:-1], jnp.dtype(config.dtype)
    params = quantized.as_float(gathered(params, x), dtype)
    layers = zip(config.layers, params.layers, strict=True)
    start = tuple(cell.started(layer, own.initial_carry, x, dtype) for layer, own in layers)
    carry = start if carry is None else carry
    arguments.carries(config, carry, batch_shape)
    if reset is not None:
        arguments.flags("reset", reset, batch_shape, f"batch {batch_shape}")
    first = y = x.astype(dtype)
    after = []
    for n, layer in enumerate(config.layers):
        before = cell.like_data(carry[n], x, dtype)
        if reset is not None:
            before = masking.select(reset, start[n], before)
        y = jnp.concatenate([y, first], axis=-1) if layer.skip else y
        y = y if keys is None else randomness.drop_input_of_step(keys, n, layer, y)
        masks = randomness.step_masks(keys, n, layer, batch_shape, dtype)
        own = randomness.drop_weights(keys, n, layer, params.layers[n])
        after.append(cell.one_step(layer, own, before, y, dtype, masks))
        y = cell.output(layer, own, y, after[-1].h, dtype)
    return tuple(after), y


def lstm_cell(
    params: LayerParams, carry: Carry | None, x: jax.Array, layer: Layer | None = None
) -> tuple[Carry, jax.Array]:
    """Runs one layer for one step.

    `jlstm.cell` has the equations, with their sources: Hochreiter & Schmidhuber (1997), Gers,
    Schmidhuber & Cummins (2000) and the papers of the options.

    Products are computed in the wider of the dtypes of x and w_x. There is no random key, so
    nothing is dropped.

    Args:
      params: the layer's parameters: w_x [I, 4H], w_h [P, 4H], b [4H] or None, and those that its
        variant adds.
      carry: Carry(c [*batch, H], h [*batch, P]); None for the initial carry.
      x: input [*batch, I], floating point.
      layer: the layer's options. By default a plain layer of H units, with a bias unless params.b
        is None.

    Returns:
      The next carry, and the output [*batch, P] in the dtype of the products. The output is the h
      of the carry, combined with the layer's input if the layer is residual or a highway.

    Raises:
      TypeError, ValueError: shapes or dtypes do not fit, or the layer is bidirectional or runs
        backward, so that it has no single next step.

    >>> params = LayerParams(jnp.ones((6, 16)), jnp.ones((4, 16)), jnp.zeros(16))
    >>> carry, y = lstm_cell(params, None, jnp.ones((1, 6)))
    >>> carry.c.shape, y.shape
    ((1, 4), (1, 4))
    """
    layer = arguments.layer_of(params, layer)
    arguments.forward_in_time((layer,))
    x = jnp.asarray(arguments.as_array("x", x))
    arguments.features("x", x, ("*batch", "I"), params.w_x.shape[-2])
    dtype = cell.common_dtype(params, x)
    params = quantized.as_float(gathered(params, x), dtype)
    batch_shape = x.shape[:-1]
    if carry is None:
        carry = cell.started(layer, params.initial_carry, x, dtype)
    arguments.carry("carry", carry, layer, batch_shape)
    carry = cell.like_data(carry, x, dtype)
    carry = cell.one_step(layer, params, carry, x, dtype)
    return carry, cell.output(layer, params, x, carry.h, dtype)
