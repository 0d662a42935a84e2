"""Parameters and random streams of linen modules."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jlstm.config import Config
from jlstm.modules import networks, parameters
from jlstm.named import params_from_dict
from jlstm.params import Params


def config(module: Any, in_features: int, inputs: Any, learned: bool) -> Config:
    """The config of the network that a module runs on `inputs`."""
    return networks.network(
        in_features,
        networks.layers_of(module.features, module.gate_fn, module.activation_fn),
        networks.dtype_of(module.dtype, module.param_dtype, inputs),
        jnp.dtype(module.param_dtype).name,
        module.initializer,
        learned,
    )


def params(module: Any, config: Config) -> Params:
    """The parameters of a call."""
    # Flax would draw abstract parameters at every call, and compare shapes without the names.
    if module.has_variable("params", "layers"):
        tree = nn.meta.unbox(module.get_variable("params", "layers"))
    else:
        tree = module.param("layers", _init, config, module)
    return params_from_dict(config, {"layers": tree})


def _init(key: jax.Array, config: Config, module: Any) -> dict[str, Any]:
    initializers = {
        "w_x": module.kernel_init,
        "w_h": module.recurrent_kernel_init,
        "b": module.bias_init,
    }
    boxing = parameters.Boxing(_unbox, _rebox)
    return parameters.initialize(key, config, initializers, boxing)["layers"]


def _unbox(value: Any) -> Any:
    return value.unbox() if isinstance(value, nn.meta.AxisMetadata) else value


def _rebox(like: Any, array: jax.Array, bidirectional: bool) -> Any:
    if not isinstance(like, nn.meta.AxisMetadata):
        return array
    box = like.replace_boxed(array)
    return box.add_axis(0, {nn.meta.PARTITION_NAME: None}) if bidirectional else box


def dropout_key(module: Any, config: Config, deterministic: bool | None) -> jax.Array | None:
    """The key of one call, or None if the module draws nothing."""
    if not networks.uses_key(config.layers):
        return None
    if nn.merge_param("deterministic", module.deterministic, deterministic):
        return None
    return module.make_rng("dropout")
