"""Parameters and random streams of nnx modules."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jlstm.config import Config
from jlstm.layer import Layer
from jlstm.modules import networks, parameters
from jlstm.named import params_from_dict
from jlstm.params import Params

Metadata = Mapping[str, Any]
NO_METADATA: Metadata = MappingProxyType({})
# Keys of metadata with the mesh axis of each axis of an array, in all supported versions of Flax.
_AXES = ("sharding", "sharding_names", "out_sharding")


class Node(nnx.Module):
    """Named parts: nnx.Param or other nodes. Numbered ones by index: lstm.layers[0].w_x."""

    def __init__(self, parts: Mapping[str, Any]):
        for name, part in parts.items():
            setattr(self, name, part)

    def __getitem__(self, index: int) -> Any:
        return getattr(self, str(index))


class Recurrent(nnx.Module):
    """What an LSTM and its cell have in common. Their constructors set these attributes.

    nnx.tabulate compiles every public method, so what returns no arrays is a function below.
    """

    in_features: int
    options: tuple[Layer, ...]
    dtype: Any
    param_dtype: Any
    initializer: Any
    learn_initial_carry: bool
    deterministic: bool
    layers: Node
    rngs: Any

    def set_view(self, deterministic: bool | None = None) -> None:
        """Sets what nnx.view passes."""
        self.deterministic = self.deterministic if deterministic is None else deterministic


def config_of(module: Recurrent, inputs: Any = None) -> Config:
    """The config that a module runs on `inputs`, or on inputs of its param_dtype."""
    return networks.network(
        module.in_features,
        module.options,
        networks.dtype_of(module.dtype, module.param_dtype, inputs),
        jnp.dtype(module.param_dtype).name,
        module.initializer,
        module.learn_initial_carry,
    )


def params_of(module: Recurrent, config: Config) -> Params:
    """The arrays of a module's parameters."""
    return params_from_dict(config, {"layers": _arrays(module.layers)})


def assign(node: Node, path: Sequence[str], array: Any) -> None:
    """Sets the value of one parameter, in the parameter's dtype."""
    part = getattr(node, path[0])
    if isinstance(part, Node):
        assign(part, path[1:], array)
    else:
        part[...] = jnp.asarray(array, part.dtype)


def dropout_key(module: Recurrent, deterministic: bool | None, rngs: Any) -> jax.Array | None:
    """The key of one call, or None if the module draws nothing."""
    if not networks.uses_key(module.options):
        return None
    if module.deterministic if deterministic is None else deterministic:
        return None
    # nnx.Bidirectional passes its stream for carries, which all models seed alike.
    if rngs is None or getattr(rngs, "tag", None) == "carry":
        rngs = module.rngs
    return key_of(rngs, "dropout")


def initialize(
    rngs: Any,
    config: Config,
    initializers: Mapping[str, Any],
    metadata: Mapping[str, Mapping[str, Any]],
) -> Node:
    """New parameters of a network. `metadata` is by the names of arrays, such as "w_x"."""
    boxing = parameters.Boxing(_unbox, _rebox)
    params = parameters.initialize(key_of(rngs, "params"), config, initializers, boxing)

    def node(tree: Mapping[str, Any]) -> Node:
        parts = {}
        for name, part in tree.items():
            inner = isinstance(part, Mapping)
            parts[name] = node(part) if inner else nnx.Param(part, **metadata.get(name, {}))
        return Node(parts)

    return node(params["layers"])


def carry_key(module: Any, initial_carry: Any, rngs: Any) -> jax.Array | None:
    """The key that carry_init draws from in one call, or None if it draws nothing."""
    if module.carry_rngs is None or initial_carry is not None:
        return None
    has_carries = isinstance(rngs, nnx.Rngs) or getattr(rngs, "tag", None) == "carry"
    return key_of(rngs if has_carries else module.carry_rngs, "carry")


def stream(rngs: Any, name: str) -> Any:
    """A separate stream for a module, as nnx.Dropout has one for its masks."""
    return (getattr(rngs, name) if isinstance(rngs, nnx.Rngs) else rngs).fork()


def key_of(rngs: Any, name: str) -> jax.Array:
    """The next key of the stream `name`, of a stream, or a key itself."""
    if isinstance(rngs, nnx.Rngs):
        return getattr(rngs, name)()
    return rngs() if isinstance(rngs, nnx.RngStream) else rngs


def _arrays(node: Node) -> dict[str, Any]:
    kinds = (Node, nnx.Variable)
    parts = {name: part for name, part in vars(node).items() if isinstance(part, kinds)}
    return {n: _arrays(part) if isinstance(part, Node) else part[...] for n, part in parts.items()}


def _unbox(value: Any) -> Any:
    return value.raw_value if isinstance(value, nnx.VariableMetadata) else value


def _rebox(like: Any, array: jax.Array, bidirectional: bool) -> Any:
    if not isinstance(like, nnx.VariableMetadata):
        return array
    metadata = dict(like.metadata)
    for name in _AXES:
        if bidirectional and metadata.get(name):
            metadata[name] = (None, *metadata[name])
    return dataclasses.replace(like, raw_value=array, metadata=metadata)
