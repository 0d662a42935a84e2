"""One call of a module: Flax's arguments, passed on to `apply`."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from jlstm.config import Config
from jlstm.modules import carries
from jlstm.network.stack import apply
from jlstm.params import Params


def run(
    config: Config,
    params: Params,
    inputs: jax.Array,
    *,
    stack: bool,
    initial_carry: Any = None,
    carry_init: Any = None,
    init_key: jax.Array | None = None,
    seq_lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    time_major: bool,
    reverse: bool,
    keep_order: bool,
    key: jax.Array | None,
    implementation: str,
    remat: int | str | None,
) -> tuple[Any, jax.Array]:
    """The final carry, in Flax's form, and the outputs of a network.

    Raises:
      TypeError, ValueError: as `apply`; initial_carry has another form; or reverse=True for a
        bidirectional layer.
    """
    network = reversed_in_time(config) if reverse else config
    start = None
    if initial_carry is not None:
        start = carries.from_flax(config, stack, initial_carry)
    elif carry_init is not None:
        _require_one_start(config, resets)
        batch = inputs.shape[1:-1] if time_major else inputs.shape[:-2]
        keys = jax.random.split(
            jax.random.key(0) if init_key is None else init_key, len(config.layers)
        )
        start = tuple(
            carries.initialize(k, layer, batch, config.dtype, carry_init)
            for k, layer in zip(keys, config.layers, strict=True)
        )
    after, ys = apply(
        network,
        params,
        start,
        inputs,
        lengths=seq_lengths,
        mask=mask,
        resets=resets,
        key=key,
        time_major=time_major,
        implementation=implementation,
        remat=remat,
    )
    if reverse and not keep_order:
        ys = _in_order_of_processing(ys, seq_lengths, 0 if time_major else inputs.ndim - 2)
    return carries.to_flax(config, stack, after, initial_carry), ys


@functools.lru_cache(maxsize=128)
def reversed_in_time(config: Config) -> Config:
    """The network that runs each layer in the other direction of time."""
    for n, layer in enumerate(config.layers):
        if layer.bidirectional:
            raise ValueError(
                f"reverse=True, but layer {n} is bidirectional: it runs in both directions; leave "
                "reverse out"
            )
    layers = (dataclasses.replace(layer, reverse=not layer.reverse) for layer in config.layers)
    return dataclasses.replace(config, layers=tuple(layers))


def _require_one_start(config: Config, resets: Any) -> None:
    """Raises ValueError if two options set the carry at the start of a sequence."""
    if config.learn_initial_carry:
        raise ValueError(
            "carry_init and learn_initial_carry=True both set the start of a sequence; leave one "
            "of the two out"
        )
    if resets is not None:
        raise ValueError(
            "carry_init draws the start of a sequence, but a reset goes back to zeros; leave "
            "carry_init out, or pass initial_carry"
        )


def _in_order_of_processing(ys: jax.Array, lengths: Any, axis: int) -> jax.Array:
    """Outputs [.., T, ..] with the last step of each length first, and the padding at the end.

    Without lengths all steps are reversed, including those that a mask leaves out.
    """
    if lengths is None:
        return jnp.flip(ys, axis)
    steps = ys.shape[axis]
    lengths = jnp.clip(jnp.asarray(lengths).astype("int32"), 0, steps)  # as `apply` counts them
    t = jnp.arange(steps, dtype="int32").reshape(*(1,) * lengths.ndim, steps)
    index = jnp.moveaxis((lengths[..., None] - 1 - t) % max(steps, 1), -1, axis)
    index = index.reshape(*index.shape, *(1,) * (ys.ndim - index.ndim))
    return jnp.take_along_axis(ys, index, axis)
