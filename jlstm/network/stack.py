"""Runs the stack of layers over a whole sequence: its outputs, or a trace of every step."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm import arguments, cell, quantized
from jlstm.config import Config, require_config
from jlstm.dtypes import state_dtype
from jlstm.kernels import choice, scan
from jlstm.kernels.recurrence import Recurrence
from jlstm.keys import require_key
from jlstm.network import intake, sequence, spans
from jlstm.network.gathering import gathered
from jlstm.network.intake import Sequences
from jlstm.params import Array, Carries, Params


class LayerTrace(NamedTuple):
    """The gates and states of one layer at every step, float32 (float64 for a float64 config).

    All arrays of a bidirectional layer have a leading axis of 2: forward, backward.

    Attributes:
      i, f, g, o: input gate, forget gate, candidate and output gate [T, *batch, H]; zero at
        padding.
      c, h: the carry after each step: c [T, *batch, H], h [T, *batch, P]. At padding the carry does
        not change.

    >>> from jlstm.params import init
    >>> config = Config.stack(6, [4])
    >>> seen = trace(config, init(jax.random.key(0), config), None, jnp.ones((3, 2, 6)))
    >>> bool((seen.layers[0].f <= 1).all()), seen.layers[0].c.shape
    (True, (3, 2, 4))
    """

    i: jax.Array
    f: jax.Array
    g: jax.Array
    o: jax.Array
    c: jax.Array
    h: jax.Array


class Trace(NamedTuple):
    """The result of `trace`: a LayerTrace for each layer, and the carry and ys of `apply`.

    Attributes:
      layers: one LayerTrace per layer, lowest first.
      carry: the carry that `apply` returns, one Carry(c [*batch, H], h [*batch, P]) per layer.
      ys: the outputs [T, *batch, P] that `apply` returns, in config.dtype.

    >>> from jlstm.params import init
    >>> config = Config.stack(6, [4])
    >>> seen = trace(config, init(jax.random.key(0), config), None, jnp.ones((3, 2, 6)))
    >>> seen.ys.shape, seen.carry[0].h.shape
    ((3, 2, 4), (2, 4))
    """

    layers: tuple[LayerTrace, ...]
    carry: Carries
    ys: jax.Array


def apply(
    config: Config,
    params: Params,
    carry: Carries | None,
    xs: Array,
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
    resets: Array | None = None,
    key: jax.Array | None = None,
    time_major: bool = True,
    implementation: str = "auto",
    remat: int | str | None = None,
) -> tuple[Carries, jax.Array]:
    """Runs the stack over a batch of sequences. `jlstm.cell` has the equations and their sources.

    Padding is every step past the length, and every step where the mask is False. At padding the
    carry does not change, the output is zero, and the values of the input have no effect. A
    backward direction starts at the last step that is not padding.

    A reset replaces the carry by the initial carry (zeros, or the learned one) before that step.
    Resets act at masked steps too, but not past the length. In a backward direction the reset acts
    after that step, so both directions are cut at the same place. Gradients do not cross a reset.

    Args:
      config: the network.
      params: its parameters.
      carry: one Carry(c [*batch, H], h [*batch, P]) per layer, with a leading axis of 2 if the
        layer is bidirectional; None for the initial carry.
      xs: inputs [T, *batch, I] ([*batch, T, I] if time_major=False), floating point.
      lengths: [*batch] whole numbers between 0 and T. Other values raise ValueError, or are clamped
        if they are traced.
      mask: [T, *batch] booleans; False marks padding.
      resets: [T, *batch] booleans; True replaces the carry by the initial carry before that step.
      key: a random key; without one nothing is dropped.
      time_major: whether time is the first axis of xs, mask, resets and ys.
      implementation: "auto", or a name that `implementations` lists.
      remat: save the carry every this many steps and recompute the steps between during the
        backward pass. "sqrt" means about the square root of T. All layers must run forward in time.

    Returns:
      The carry after the last step that is not padding, one Carry per layer, in float32 (float64
      for a float64 config); and the outputs ys [T, *batch, O] ([*batch, T, O]) in config.dtype,
      where O is config.output_size; [.., 2, P] if the last layer has merge="none".

    Raises:
      TypeError, ValueError: arguments do not fit, or the implementation does not support the call.

    >>> config = Config.stack(6, [4, 5])
    >>> from jlstm.params import init
    >>> params = init(jax.random.key(0), config)
    >>> carry, ys = apply(config, params, None, jnp.ones((2, 3, 6)), time_major=False)
    >>> ys.shape
    (2, 3, 5)
    """
    require_config(config)
    cut = None if remat is None else spans.rematerialised(config, remat)
    given = intake.arrays(xs, lengths, mask, resets, time_major=time_major)
    return _run_by(implementation, config, params, carry, given, key, time_major, cut)


def apply_truncated(
    config: Config,
    params: Params,
    carry: Carries | None,
    xs: Array,
    steps: int,
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
    resets: Array | None = None,
    key: jax.Array | None = None,
    time_major: bool = True,
    implementation: str = "auto",
) -> tuple[Carries, jax.Array]:
    """Runs the stack as `apply` does, with truncated backpropagation through time.

    Values are those of `apply`. Time is divided into spans of `steps` steps, and no gradient
    crosses from one span to the one before it: gradients are those of running the spans one after
    another, with the carry between two spans taken as a constant.

    Args:
      config: the network; all layers must run forward in time.
      params: as in `apply`.
      carry: as in `apply`; only the first span contributes to its gradient.
      xs: as in `apply`.
      steps: number of steps in a span; the last span may be shorter.
      lengths: as in `apply`.
      mask: as in `apply`.
      resets: as in `apply`.
      key: as in `apply`.
      time_major: as in `apply`.
      implementation: as in `apply`.

    Returns:
      The same as `apply`.

    Raises:
      TypeError, ValueError: as `apply`, or a layer is bidirectional or runs backward.

    >>> config = Config.stack(6, [4, 5])
    >>> from jlstm.params import init
    >>> params = init(jax.random.key(0), config)
    >>> carry, ys = apply_truncated(config, params, None, jnp.ones((7, 2, 6)), 3)
    >>> ys.shape
    (7, 2, 5)
    """
    require_config(config)
    cut = spans.truncated(config, steps)
    given = intake.arrays(xs, lengths, mask, resets, time_major=time_major)
    return _run_by(implementation, config, params, carry, given, key, time_major, cut)


def _run_by(
    implementation: str,
    config: Config,
    params: Params,
    carry: Carries | None,
    given: Sequences,
    key: jax.Array | None,
    time_major: bool,
    cut: spans.Cut | None,
) -> tuple[Carries, jax.Array]:
    """Runs the network with the named implementation, or with those that "auto" chooses."""
    if key is not None:
        require_key(key)
    draws, flags = key is not None, {"mask": given.mask, "resets": given.resets}
    runs = choice.choose(implementation, config.layers, config.dtype, draws=draws, **flags)
    last, ys, _ = _run_network(config, time_major, runs, params, carry, given, key, cut)
    return last, ys


def apply_with(
    run: Recurrence,
    config: Config,
    params: Params,
    carry: Carries | None,
    xs: jax.Array,
    *,
    lengths: jax.Array | None,
    mask: jax.Array | None,
    resets: jax.Array | None,
    time_major: bool,
) -> tuple[Carries, jax.Array]:
    """Runs `apply` with the given recurrence."""
    given = intake.arrays(xs, lengths, mask, resets, time_major=time_major)
    runs = (run,) * len(config.layers)
    last, ys, _ = _run_network(config, time_major, runs, params, carry, given, None)
    return last, ys


def trace(
    config: Config,
    params: Params,
    carry: Carries | None,
    xs: Array,
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
    resets: Array | None = None,
    key: jax.Array | None = None,
    time_major: bool = True,
) -> Trace:
    """Computes every gate and state of every layer, for inspection.

    Args:
      config, params, carry, xs, lengths, mask, resets, key, time_major: as for `apply`.

    Returns:
      A Trace. With time_major=False, the time axis of its arrays is the one before the features, as
      in `ys`.

    Raises:
      TypeError, ValueError: arguments do not fit.

    >>> config = Config.stack(6, [4, 5])
    >>> from jlstm.params import init
    >>> seen = trace(config, init(jax.random.key(0), config), None, jnp.ones((3, 2, 6)))
    >>> seen.layers[0].f.shape
    (3, 2, 4)
    """
    require_config(config)
    if key is not None:
        require_key(key)
    given = intake.arrays(xs, lengths, mask, resets, time_major=time_major)
    runs = (scan.record,) * len(config.layers)
    last, ys, states = _run_network(config, time_major, runs, params, carry, given, key)
    layers = tuple(LayerTrace(*s.gates, *s.carry) for s in states)
    if not time_major:
        moved = [
            jax.tree.map(lambda a, at=int(layer.bidirectional): jnp.moveaxis(a, at, -2), one)
            for layer, one in zip(config.layers, layers, strict=True)
        ]
        layers = tuple(moved)
    return Trace(layers, last, ys)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 7))
def _run_network(
    config: Config,
    time_major: bool,
    runs: tuple[Recurrence, ...],
    params: Params,
    carry: Any,
    given: Sequences,
    key: Any,
    cut: spans.Cut | None = None,
) -> tuple[Carries, jax.Array, list[Any]]:
    """The compiled part of a call: checks the arguments, then runs all layers."""
    arguments.params(config, params)
    given = intake.checked(given, config.input_size, time_major=time_major)
    batch_shape, dtype = given.xs.shape[1:-1], jnp.dtype(config.dtype)
    params = quantized.as_float(gathered(params, given.xs), dtype)
    if carry is None:
        data = jnp.sum(given.xs[:0], axis=0)
        layers = zip(config.layers, params.layers, strict=True)
        carry = tuple(cell.started(layer, own.initial_carry, data, dtype) for layer, own in layers)
    arguments.carries(config, carry, batch_shape)
    carry = jax.tree.map(lambda a: jnp.asarray(a, state_dtype(dtype)), carry)
    times = sequence.schedule(given, key)
    stack = functools.partial(_run_layers, config, runs, dtype)
    after, ys, made = spans.over_time(stack, params, carry, given.xs.astype(dtype), times, cut)
    ys = ys if time_major else jnp.moveaxis(ys, 0, len(batch_shape))
    return after, ys, made


def _run_layers(
    config: Config,
    runs: tuple[Recurrence, ...],
    dtype: jnp.dtype,
    params: Params,
    carry: Carries,
    xs: jax.Array,
    times: sequence.Schedule,
) -> tuple[Carries, jax.Array, list[Any]]:
    """Runs all layers over a sequence [T, *batch, I]. The arguments have been checked."""
    ys, after, made = xs, [], []
    for n, (layer, run) in enumerate(zip(config.layers, runs, strict=True)):
        ys = jnp.concatenate([ys, xs], axis=-1) if layer.skip else ys
        last, ys, states = sequence.run_layer(
            n, layer, params.layers[n], carry[n], ys, times, run, dtype
        )
        after.append(last)
        made.append(states)
    return tuple(after), ys, made
