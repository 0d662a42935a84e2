"""Parameters of modules: nested dictionaries of arrays, with the names that a file gives them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm.config import Config
from jlstm.dtypes import state_dtype
from jlstm.layer import Layer
from jlstm.named import named
from jlstm.params import Params, init


class Boxes(NamedTuple):
    """How a Flax API marks arrays with metadata, such as the names of mesh axes.

    Attributes:
      open: the array in what an initializer returned.
      close: (what an initializer returned, array, ways) -> the array, marked in the same way.
        `ways` is True if the array has a leading axis of directions that the mark does not know.
    """

    open: Callable[[Any], jax.Array]
    close: Callable[[Any, jax.Array, bool], Any]


def drawn(
    key: jax.Array, config: Config, initializers: Mapping[str, Any], boxes: Boxes
) -> dict[str, Any]:
    """Initial parameters, as a nested dictionary.

    `initializers` has functions (key, shape, dtype) -> array for "w_x" [I, 4H], "w_h" [P, 4H] and
    "b" [4H]; None stands for the distribution of config.initializer. They are called once for each
    direction.
    """
    key, own = jax.random.split(key)
    made = named(init(key, config))
    for n, layer in enumerate(config.layers):
        for leaf, initializer in initializers.items():
            own, k = jax.random.split(own)
            name = f"layers.{n}.{leaf}"
            if initializer is not None and name in made:
                made[name] = _drawn(k, layer, name, initializer, made[name], config, boxes)
    return nested(made)


def nested(params: Params | Mapping[str, Any]) -> dict[str, Any]:
    """Params, or arrays by names such as "layers.0.w_x", as nested dictionaries.

    `jlstm.params_from_dict` is the inverse.
    """
    made: dict[str, Any] = {}
    for name, array in (named(params) if isinstance(params, Params) else params).items():
        *above, last = name.split(".")
        place = made
        for part in above:
            place = place.setdefault(part, {})
        place[last] = array
    return made


def _drawn(
    key: jax.Array,
    layer: Layer,
    name: str,
    initializer: Any,
    like: jax.Array,
    config: Config,
    boxes: Boxes,
) -> Any:
    """One parameter of a layer from an initializer, for one or two directions."""
    shape = like.shape[1:] if layer.bidirectional else like.shape
    keys = jax.random.split(key) if layer.bidirectional else [key]
    # JAX draws orthogonal matrices by a factorisation that does not support bfloat16.
    results = [initializer(k, shape, state_dtype(config.param_dtype)) for k in keys]
    arrays = [jnp.asarray(boxes.open(result)) for result in results]
    for array in arrays:
        if array.shape != shape:
            raise ValueError(
                f"the initializer of {name} returned shape {array.shape}; expected {shape}, the "
                "shape that it was called with: the four gates stand along the last axis"
            )
    if name.endswith(".b") and layer.forget_bias:
        units = layer.hidden_size
        arrays = [a.at[units : 2 * units].add(layer.forget_bias) for a in arrays]
    both = jnp.stack(arrays) if layer.bidirectional else arrays[0]
    return boxes.close(results[0], both.astype(like.dtype), layer.bidirectional)
