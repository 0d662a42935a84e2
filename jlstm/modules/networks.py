"""The network that a Flax module runs, from options with Flax's names."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.activations import Activation
from jlstm.config import Config
from jlstm.interop.flax import named
from jlstm.layer import Layer

Features = int | Layer | Sequence[int | Layer]
Function = Callable[..., Any]
Initializer = Callable[..., Any]


def is_stack(features: Features) -> bool:
    """Whether `features` lists layers, so that there is one carry per layer, even for one layer."""
    return isinstance(features, Sequence) and not isinstance(features, str)


def require_one(features: Features) -> None:
    """Raises TypeError if `features`, those of a cell, list several layers."""
    if is_stack(features):
        raise TypeError(
            f"a cell has one layer, but its features are {features!r}; expected a size such as 4 "
            "or a Layer: use LSTM for a stack, or one cell per layer"
        )


def layers_of(
    features: Features, gate_fn: Function | None, activation_fn: Function | None
) -> tuple[Layer, ...]:
    """The layers of a module. A size stands for a layer that starts like Flax's: no forget bias.

    Raises:
      TypeError, ValueError: `features` is no size, Layer or sequence of these, or functions are
        passed in addition to a Layer, which has activations itself.
    """
    sizes = tuple(features) if is_stack(features) else (features,)  # type: ignore[arg-type]
    functions: dict[str, Any] = {}
    if gate_fn is not None:
        functions["recurrent_activation"] = _activation(gate_fn)
    if activation_fn is not None:
        functions["activation"] = functions["cell_activation"] = _activation(activation_fn)
    layers = []
    for size in sizes:
        if isinstance(size, Layer):
            if functions:
                raise ValueError(
                    "gate_fn and activation_fn are for layers given by their size, but the module "
                    f"has {size!r:.60}; set the Layer's recurrent_activation, activation and "
                    "cell_activation instead"
                )
            layers.append(size)
        elif isinstance(size, (int, np.integer)) and not isinstance(size, bool):
            layers.append(Layer(int(size), forget_bias=0.0, **functions))
        else:
            raise TypeError(
                f"features is {features!r:.60}; expected a size such as 4, a Layer, or a sequence "
                "of these with one entry per layer"
            )
    return tuple(layers)


@functools.lru_cache(maxsize=128)
def network(
    in_features: int,
    layers: tuple[Layer, ...],
    dtype: str,
    param_dtype: str,
    initializer: str | Function,
    learn_initial_carry: bool,
) -> Config:
    """The config of a module. Cached: modules ask for it at every call."""
    return Config(
        in_features,
        layers,
        dtype=dtype,
        param_dtype=param_dtype,
        initializer=initializer,
        learn_initial_carry=learn_initial_carry,
    )


def dtype_of(dtype: Any, param_dtype: Any, inputs: Any = None) -> str:
    """The name of the dtype of a call: that of the module or, as in Flax, that of the operands."""
    if dtype is not None:
        return jnp.dtype(dtype).name
    operand = jnp.result_type(inputs) if inputs is not None else jnp.dtype(param_dtype)
    if not jnp.issubdtype(operand, jnp.floating):
        return jnp.dtype(param_dtype).name
    return jnp.promote_types(operand, param_dtype).name


def uses_key(layers: Sequence[Layer]) -> bool:
    """Whether a layer has an option that draws random numbers in training."""
    return any(
        layer.without_key != layer or layer.zoneout_c > 0 or layer.zoneout_h > 0 for layer in layers
    )


def _activation(function: Function) -> Activation:
    """The name of a function in this library, by which kernels know it, or else the function."""
    try:
        return named(function)
    except ValueError:
        return function


def as_floating(inputs: Any, dtype: str) -> jax.Array:
    """`inputs` as an array; whole numbers and booleans are converted to `dtype`, as in Flax."""
    inputs = jnp.asarray(inputs)
    kinds = (jnp.integer, jnp.bool_)
    whole = any(jnp.issubdtype(inputs.dtype, kind) for kind in kinds)
    return inputs.astype(dtype) if whole else inputs
