"""Parameters and carries: what they hold, how they start, what shape they must have."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jlstm import initializers
from jlstm.config import Config, Layer, require_config
from jlstm.dtypes import require_x64, state_dtype


class Carry(NamedTuple):
    """What a layer hands from one step to the next.

    A bidirectional layer's carry has a leading axis of 2: forward, backward.

    Attributes:
      c: cell state [*batch, H].
      h: hidden state [*batch, H], which is also the layer's output at that step.
    """

    c: jax.Array
    h: jax.Array


class LayerParams(NamedTuple):
    """The parameters of one layer; gates stand in the order i, f, g, o along the last axis.

    A bidirectional layer's arrays have a leading axis of 2: forward, backward.

    Attributes:
      w_x: input weights [I, 4H].
      w_h: recurrent weights [H, 4H].
      b: bias [4H], or None without one.
      initial_carry: Carry of [H] each where the initial carry is learned, else None (zeros).
    """

    w_x: jax.Array
    w_h: jax.Array
    b: jax.Array | None = None
    initial_carry: Carry | None = None


class Params(NamedTuple):
    """The parameters of a stack, lowest layer first."""

    layers: tuple[LayerParams, ...]


for _node in (Carry, LayerParams, Params):
    export.register_namedtuple_serialization(_node, serialized_name=f"jlstm.{_node.__name__}")


def init(key: jax.Array, config: Config) -> Params:
    """Random parameters for `config`, in its param_dtype.

    "keras": Glorot uniform w_x, orthogonal w_h, zero bias. "torch": everything uniform within
    1/sqrt(H), the bias being the sum of two such draws, as torch keeps two. "flax": LeCun normal
    w_x and orthogonal w_h for each gate, zero bias. "haiku": truncated normal with deviation
    1/sqrt(I+H), zero bias. Each layer's forget_bias is added to the f part of b; the defaults of
    torch and flax themselves are forget_bias=0.

    A function draws w_x, then w_h, from the shapes [I, 4H] and [H, 4H]; the bias is zero.

    Args:
      key: a key of jax.random.
      config: the network.

    Returns:
      Params with one LayerParams a layer: w_x [I, 4H], w_h [H, 4H], b [4H], each with a leading
      axis of 2 where the layer is bidirectional.

    Raises:
      ValueError: param_dtype is "float64" and jax_enable_x64 is off, or a function that draws
        weights returns another shape than it was asked for.

    >>> params = init(jax.random.key(0), Config.stack(6, [4, 5]))
    >>> [layer.w_x.shape for layer in params.layers]
    [(6, 16), (4, 20)]
    """
    require_config(config)
    require_x64(config.param_dtype)
    return _init(key, config)


@functools.partial(jax.jit, static_argnums=1)
def _init(key: jax.Array, config: Config) -> Params:
    keys = jax.random.split(key, len(config.layers))
    sizes = zip(keys, config.layers, config.input_sizes, strict=True)
    return Params(tuple(_init_layer(key, config, layer, size) for key, layer, size in sizes))


def _init_layer(key: jax.Array, config: Config, layer: Layer, input_size: int) -> LayerParams:
    def direction(key: jax.Array) -> LayerParams:
        w_x, w_h, b = initializers.weights(
            key, config.initializer, input_size, layer.hidden_size, config.param_dtype
        )
        if layer.bias:
            i, f, g, o = jnp.split(b, 4)
            b = jnp.concatenate([i, f + layer.forget_bias, g, o]).astype(w_x.dtype)
        zeros = jnp.zeros(layer.hidden_size, config.param_dtype)
        learned = Carry(zeros, zeros) if config.learn_initial_carry else None
        return LayerParams(w_x, w_h, b if layer.bias else None, learned)

    if not layer.bidirectional:
        return direction(key)
    forward, backward = (direction(key) for key in jax.random.split(key))
    return jax.tree.map(lambda *both: jnp.stack(both), forward, backward)


def initial_carry(
    config: Config, params: Params | None = None, batch_shape: Sequence[int] = ()
) -> tuple[Carry, ...]:
    """The carry that a network starts from: zeros, or what `params` learned; one Carry a layer.

    Args:
      config: the network.
      params: needed only where config.learn_initial_carry.
      batch_shape: leading axes of the carry.

    Returns:
      Carry(c [*batch, H], h [*batch, H]) for each layer, with a leading axis of 2 where the layer
      is bidirectional, in float32 (float64 for a float64 config).

    Raises:
      ValueError: a learned carry is asked for without `params`.

    >>> [carry.c.shape for carry in initial_carry(Config.stack(6, [4, 5]), batch_shape=(1,))]
    [(1, 4), (1, 5)]
    """
    require_config(config)
    if config.learn_initial_carry and params is None:
        raise ValueError(
            "the config has learn_initial_carry=True, so its initial carry stands in the "
            "parameters; pass params: initial_carry(config, params, batch_shape)"
        )
    dtype = state_dtype(config.dtype)
    carries = []
    for n, layer in enumerate(config.layers):
        learned = params.layers[n].initial_carry if params is not None else None
        carries.append(start_of_layer(layer, learned, tuple(batch_shape), dtype))
    return tuple(carries)


def start_of_layer(
    layer: Layer, learned: Carry | None, batch_shape: tuple[int, ...], dtype: jnp.dtype
) -> Carry:
    """One layer's initial carry over a batch, from zeros or from a learned Carry of [H] each."""
    directions = (2,) if layer.bidirectional else ()
    shape = (*directions, *batch_shape, layer.hidden_size)
    if learned is None:
        return Carry(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))
    ones = (1,) * len(batch_shape)

    def over_batch(a: jax.Array) -> jax.Array:
        a = a.astype(dtype).reshape(*directions, *ones, layer.hidden_size)
        return jnp.broadcast_to(a, shape)

    return Carry(over_batch(learned.c), over_batch(learned.h))
