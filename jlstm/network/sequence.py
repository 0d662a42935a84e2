"""Runs one layer over time: directions, lengths, masks and resets."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm import arguments, cell, masking, quantized, randomness
from jlstm.dtypes import state_dtype
from jlstm.kernels import choice, scan
from jlstm.kernels.primitives import device_types
from jlstm.kernels.recurrence import Inputs, Recurrence
from jlstm.keys import require_key
from jlstm.layer import Layer
from jlstm.network import intake
from jlstm.network.gathering import gathered
from jlstm.network.intake import Sequences
from jlstm.params import Array, Carry, LayerParams, start_of_layer
from jlstm.randomness import Keys


class Schedule(NamedTuple):
    """Padding, resets and random keys of a call over T steps, the same for every layer of a stack.

    Attributes:
      valid: [T, *batch] booleans, False at padding; None without padding.
      resets: [T, *batch] booleans, True where the initial carry replaces the carry; None without
        resets.
      keys: random keys, or None in calls without a key.
    """

    valid: jax.Array | None = None
    resets: jax.Array | None = None
    keys: Keys | None = None


def schedule(given: Sequences, key: jax.Array | None) -> Schedule:
    """The Schedule of a call, from arrays that `intake.checked` returned."""
    time_steps, valid, resets = given.xs.shape[0], given.mask, given.resets
    if given.lengths is not None:
        within = masking.within(given.lengths, time_steps)
        valid = within if valid is None else valid & within
        # A reset past the length would replace the carry at the length, which the call returns.
        resets = None if resets is None else resets & within
    keys = None if key is None else randomness.keys(key, time_steps)
    return Schedule(valid, resets, keys)


def run_layer(
    n: int,
    layer: Layer,
    params: LayerParams,
    carry: Carry,
    xs: jax.Array,
    times: Schedule,
    run: Recurrence,
    dtype: jnp.dtype,
) -> tuple[Carry, jax.Array, Any]:
    """Runs layer n of a stack over a sequence [T, *batch, I]. The arguments have been checked.

    Returns:
      The last carry, the layer's output [T, *batch, P], and the second result of `run`, with a
      leading axis of 2 for a bidirectional layer.
    """
    if times.keys is not None:
        xs = randomness.drop_inputs(times.keys, n, layer, xs)
    if times.valid is not None:
        # Weight gradients are products with xs, so NaN at padding would reach them.
        xs = jnp.where(times.valid[..., None], xs, jnp.zeros((), xs.dtype))
    reverse = (False, True) if layer.bidirectional else (layer.reverse,)
    start = start_of_layer(layer, params.initial_carry, (1,) * (xs.ndim - 2), state_dtype(dtype))
    own = randomness.drop_weights(times.keys, n, layer, params._replace(highway=None))
    if not layer.bidirectional:
        own, carry, start = jax.tree.map(lambda a: a[None], (own, carry, start))
    masks, held = randomness.masks(times.keys, n, layer, xs.shape[1:-1], dtype)
    # Zeros [*batch, I], even if T = 0, whose sharding type depends on the weights too. Before
    # jax 0.9, their tangents would not have it.
    data = jnp.sum(xs[:0], axis=0) + jnp.sum(own.w_x[:0]).astype(xs.dtype)
    data = jax.lax.stop_gradient(data)
    inputs = Inputs(
        params=own,
        carry=cell.like_data(carry, data, dtype),
        xs=xs,
        initial=cell.like_data(start, data, dtype),
        valid=times.valid,
        resets=times.resets,
        masks=masks,
        held=held,
    )
    last, made = run(layer, device_types.alike(inputs), reverse=reverse, dtype=dtype)
    if not layer.bidirectional:
        last, made = jax.tree.map(lambda a: a[0], (last, made))
    recorded = isinstance(made, scan.States)
    hs = _zero_padding(made.carry.h, times.valid) if recorded else made
    ys = cell.output(layer, params, xs, _merged(layer, hs), dtype)
    return last, ys, made


def lstm(
    params: LayerParams,
    carry: Carry | None,
    xs: Array,
    layer: Layer | None = None,
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
    resets: Array | None = None,
    key: jax.Array | None = None,
    time_major: bool = True,
    implementation: str = "auto",
) -> tuple[Carry, jax.Array]:
    """Runs one layer over all steps of a batch of sequences.

    Padding and resets mean the same as in `apply`, which runs a stack. Products are computed in the
    wider of the dtypes of xs and w_x. Unlike `apply`, this function is not wrapped in `jax.jit`:
    call it inside your own.

    Args:
      params: the layer's parameters, with a leading axis of 2 if it is bidirectional.
      carry: Carry(c [*batch, H], h [*batch, P]), with a leading axis of 2 if the layer is
        bidirectional; None for the initial carry.
      xs: inputs [T, *batch, I] ([*batch, T, I] if time_major=False), floating point.
      layer: the layer's options. By default a plain layer of H units, with a bias unless params.b
        is None.
      lengths: [*batch] whole numbers; later steps are padding.
      mask: [T, *batch] booleans; False marks padding.
      resets: [T, *batch] booleans; True replaces the carry by the initial carry before that step.
      key: a random key; without one nothing is dropped.
      time_major: whether time is the first axis of xs, mask, resets and the output.
      implementation: "auto", or a name that `implementations` lists.

    Returns:
      The carry after the last step that is not padding, and the outputs [T, *batch, O]
      ([*batch, T, O]) in the dtype of the products, where O is layer.output_size; [.., 2, P] with
      merge="none".

    Raises:
      TypeError, ValueError: arguments do not fit, or the implementation does not support the call.

    >>> params = LayerParams(jnp.ones((6, 16)), jnp.ones((4, 16)), jnp.zeros(16))
    >>> carry, ys = lstm(params, None, jnp.ones((3, 2, 6)))
    >>> carry.h.shape, ys.shape
    ((2, 4), (3, 2, 4))
    """
    layer = arguments.layer_of(params, layer)
    if key is not None:
        require_key(key)
    given = intake.arrays(xs, lengths, mask, resets, time_major=time_major)
    given = intake.checked(given, params.w_x.shape[-2], time_major=time_major)
    batch_shape = given.xs.shape[1:-1]
    dtype = cell.common_dtype(params, given.xs)
    params = quantized.as_float(gathered(params, given.xs), dtype)
    draws = key is not None
    (run,) = choice.choose(
        implementation, (layer,), dtype.name, draws=draws, mask=mask, resets=resets
    )
    if carry is None:
        carry = cell.started(layer, params.initial_carry, jnp.sum(given.xs[:0], axis=0), dtype)
    arguments.carry("carry", carry, layer, batch_shape)
    times = schedule(given, key)
    carry, ys, _ = run_layer(0, layer, params, carry, given.xs.astype(dtype), times, run, dtype)
    return carry, ys if time_major else jnp.moveaxis(ys, 0, len(batch_shape))


def _merged(layer: Layer, hs: jax.Array) -> jax.Array:
    """The outputs of a layer, from the hidden states `hs` of its directions."""
    if not layer.bidirectional:
        return hs
    if layer.merge == "none":
        return jnp.moveaxis(hs, 0, -2)
    if layer.merge == "concat":
        return jnp.moveaxis(hs, 0, -2).reshape(*hs.shape[1:-1], 2 * hs.shape[-1])
    forward, backward = hs[0], hs[1]
    if layer.merge == "mul":
        return forward * backward
    total = forward + backward
    return total if layer.merge == "sum" else total / 2


def _zero_padding(hs: jax.Array, valid: jax.Array | None) -> jax.Array:
    return hs if valid is None else jnp.where(valid[..., None], hs, jnp.zeros((), hs.dtype))
