"""Parameters of modules: nested dictionaries of arrays, with the names of a model file."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm.config import Config
from jlstm.dtypes import state_dtype
from jlstm.layer import Layer
from jlstm.named import named
from jlstm.params import Params, init


class Boxing(NamedTuple):
    """How a Flax API boxes arrays together with metadata, such as the names of mesh axes.

    Attributes:
      unbox: returns the array of an initializer's result.
      rebox: (an initializer's result, array, bidirectional) -> the array with the same metadata.
        `bidirectional` is True if the array has a leading axis of directions that the result lacks.
    """

    unbox: Callable[[Any], jax.Array]
    rebox: Callable[[Any, jax.Array, bool], Any]


def initialize(
    key: jax.Array, config: Config, initializers: Mapping[str, Any], boxing: Boxing
) -> dict[str, Any]:
    """Initial parameters, as a nested dictionary.

    `initializers` has functions (key, shape, dtype) -> array for "w_x" [I, 4H], "w_h" [P, 4H] and
    "b" [4H]; None stands for the distribution of config.initializer. They are called once for each
    direction.
    """
    key, next_key = jax.random.split(key)
    params: dict[str, Any] = named(init(key, config))
    for n, layer in enumerate(config.layers):
        for leaf, initializer in initializers.items():
            next_key, k = jax.random.split(next_key)
            name = f"layers.{n}.{leaf}"
            if initializer is not None and name in params:
                params[name] = _one(k, layer, name, initializer, params[name], config, boxing)
    return nested(params)


def nested(params: Params | Mapping[str, Any]) -> dict[str, Any]:
    """Params, or arrays by names such as "layers.0.w_x", as nested dictionaries.

    `jlstm.params_from_dict` is the inverse.
    """
    tree: dict[str, Any] = {}
    for name, array in (named(params) if isinstance(params, Params) else params).items():
        *above, last = name.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = array
    return tree


def _one(
    key: jax.Array,
    layer: Layer,
    name: str,
    initializer: Any,
    like: jax.Array,
    config: Config,
    boxing: Boxing,
) -> Any:
    """One parameter of a layer from an initializer, for one or two directions."""
    shape = like.shape[1:] if layer.bidirectional else like.shape
    keys = jax.random.split(key) if layer.bidirectional else [key]
    # JAX draws orthogonal matrices by a factorisation that does not support bfloat16.
    results = [initializer(k, shape, state_dtype(config.param_dtype)) for k in keys]
    arrays = [jnp.asarray(boxing.unbox(result)) for result in results]
    for array in arrays:
        if array.shape != shape:
            raise ValueError(
                f"the initializer of {name} returned shape {array.shape}; expected {shape}, the "
                "shape that it was called with: the four gates are along the last axis"
            )
    if name.endswith(".b") and layer.forget_bias:
        units = layer.hidden_size
        arrays = [a.at[units : 2 * units].add(layer.forget_bias) for a in arrays]
    array = jnp.stack(arrays) if layer.bidirectional else arrays[0]
    return boxing.rebox(results[0], array.astype(like.dtype), layer.bidirectional)
