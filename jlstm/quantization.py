"""Quantizes the matrices of a network to int8, and converts them back."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jlstm import arguments, quantized
from jlstm.config import Config, require_config
from jlstm.dtypes import require_x64, state_dtype
from jlstm.params import MATRICES, Params
from jlstm.quantized import Quantized

_LARGEST = 127  # -128 is not used, so that a matrix and its negative have the same values


def quantize(config: Config, params: Params, *, bits: int = 8) -> Params:
    """The parameters with int8 matrices, for inference.

    Each column of w_x, w_h, the projection and the weights of a highway becomes whole numbers
    between -127 and 127 times one float32 scale, the column's largest absolute value divided by
    127. Rounding changes no weight by more than half its scale. Biases, peepholes, normalisations
    and learned initial carries stay as they are. A matrix takes about a quarter of the memory of
    float32.

    `apply`, `step` and all other functions of networks take the result, on every platform and with
    every implementation. Each call converts the matrices once, to float32 (float64 for a float64
    config). Derivatives with respect to inputs and carry work. Derivatives with respect to the int8
    matrices raise TypeError.

    For an ensemble, use jax.vmap(functools.partial(jlstm.quantize, config))(params).

    Args:
      config: the network.
      params: its parameters.
      bits: the bits of a value; only 8 is supported.

    Returns:
      Params with a Quantized(values int8 [I, 4H], scale float32 [4H]) for each matrix. A column of
      zeros has the scale 1.

    Raises:
      TypeError, ValueError: params do not fit config or are quantized already, bits is not 8, or a
        weight is NaN or infinite. Traced weights are not checked for this: the scale of such a
        column is NaN or infinite.

    >>> from jlstm.params import init
    >>> config = Config.stack(6, [4])
    >>> small = quantize(config, init(jax.random.key(0), config))
    >>> small.layers[0].w_x.values.dtype.name, small.layers[0].w_x.scale.shape
    ('int8', (16,))
    """
    require_config(config)
    if isinstance(bits, bool) or bits != 8:
        raise ValueError(
            f"bits is {bits!r}; expected 8. For weights of 16 bits, make the config with "
            "param_dtype='bfloat16' and do not quantize"
        )
    arguments.params(config, params)
    if found := quantized.names(params):
        raise ValueError(
            f"params are quantized already: {found[0]} is int8. Pass the float parameters that "
            "they were made from, or jlstm.dequantize(config, params)"
        )
    made = _quantize(params)
    leaves, _ = jax.tree_util.tree_flatten_with_path(made, is_leaf=quantized.is_quantized)
    for path, leaf in leaves:
        if quantized.is_quantized(leaf):
            _require_finite(jax.tree_util.keystr(path), leaf.scale)
    return made


def dequantize(config: Config, params: Params) -> Params:
    """The parameters with float matrices in place of the int8 ones of `quantize`.

    A network with these parameters gives the same results. They can be trained, or converted to
    frameworks that have no int8 weights. The weights stay rounded: dequantizing does not restore
    those that `quantize` was called with.

    Args:
      config: the network.
      params: its parameters. Float parameters come back unchanged.

    Returns:
      Params whose matrices, such as w_x [I, 4H], are in config.param_dtype.

    Raises:
      TypeError, ValueError: params do not fit config.

    >>> from jlstm.params import init
    >>> config = Config.stack(6, [4])
    >>> params = init(jax.random.key(0), config)
    >>> again = dequantize(config, quantize(config, params))
    >>> bool(abs(again.layers[0].w_x - params.layers[0].w_x).max() < 0.01)
    True
    """
    require_config(config)
    arguments.params(config, params)
    dtype = config.param_dtype
    require_x64(dtype)

    def matrix(a: Any) -> Any:
        return quantized.as_float(a, dtype).astype(dtype) if quantized.is_quantized(a) else a

    return jax.tree.map(matrix, params, is_leaf=quantized.is_quantized)


@jax.jit
def _quantize(params: Params) -> Params:
    def leaf(path: Any, a: jax.Array) -> Any:
        return _matrix(a) if path[-1].name in MATRICES else a

    return jax.tree_util.tree_map_with_path(leaf, params)


def _matrix(w: jax.Array) -> Quantized:
    w = w.astype(state_dtype(w.dtype))
    largest = jnp.abs(w).max(-2)  # NaN if one is
    # A scale that is not a normal number could be flushed to zero, and divided by.
    scale = jnp.maximum(largest / _LARGEST, float(jnp.finfo(jnp.float32).tiny))
    scale = jnp.where(largest == 0, 1, scale).astype(jnp.float32)
    steps = jnp.round(w / jnp.expand_dims(scale.astype(w.dtype), -2))
    return Quantized(jnp.clip(steps, -_LARGEST, _LARGEST).astype(jnp.int8), scale)


def _require_finite(name: str, scale: jax.Array) -> None:
    if isinstance(scale, Tracer) or not scale.is_fully_addressable:
        return
    wrong = np.argwhere(~np.isfinite(np.asarray(scale)))
    if len(wrong):
        *direction, column = wrong[0].tolist()
        where = f" of direction {direction[0]}" if direction else ""
        raise ValueError(
            f"params{name} holds NaN, infinite or too large weights in column {column}{where}; "
            "expected finite float32 numbers. If training diverged, quantize an earlier checkpoint"
        )
