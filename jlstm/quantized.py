"""Matrices of int8 values with a scale for each column, and the float matrices that they mean."""

import functools
from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export
from jax.custom_derivatives import SymbolicZero

from jlstm.dtypes import state_dtype
from jlstm.params import MATRICES


class Quantized(NamedTuple):
    """A matrix in int8: element [i, j] means values[i, j] * scale[j].

    `jlstm.quantize` makes such matrices. The arrays of a bidirectional layer have a leading axis of
    2: forward, backward.

    Attributes:
      values: int8 [I, N], between -127 and 127 if `quantize` made them.
      scale: float32 [N], one per column.

    >>> weight = Quantized(values=jnp.ones((6, 16), "int8"), scale=jnp.ones(16))
    >>> weight.shape, weight.dtype.name
    ((6, 16), 'float32')
    """

    values: Any
    scale: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the matrix."""
        return self.values.shape

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return self.values.ndim

    @property
    def dtype(self) -> jnp.dtype:
        """The dtype of the float matrix that it means: that of `scale`."""
        return self.scale.dtype


export.register_namedtuple_serialization(Quantized, serialized_name="jlstm.Quantized")


def is_quantized(value: Any) -> bool:
    """Whether `value` is a Quantized. For `is_leaf` of functions of jax.tree."""
    return isinstance(value, Quantized)


def require_fitting(what: str, matrix: Quantized) -> None:
    """Raises TypeError or ValueError unless values and scale have dtypes and shapes that fit."""
    values, scale = (jnp.result_type(a) for a in matrix)
    if values != jnp.int8 or scale != jnp.float32:
        raise TypeError(
            f"{what} has values in {values} and a scale in {scale}; expected int8 and float32, as "
            "jlstm.quantize(config, params) returns them"
        )
    expected = (*matrix.shape[:-2], matrix.shape[-1])
    if jnp.shape(matrix.scale) != expected:
        raise ValueError(
            f"{what}.scale has shape {jnp.shape(matrix.scale)}; expected {expected}, one number "
            "for each column of its values"
        )


def names(tree: Any) -> list[str]:
    """The places of the int8 matrices in a tree, such as "layers.0.w_x"."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_quantized)
    return [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, leaf in leaves
        if is_quantized(leaf)
    ]


def refuse(what: str, tree: Any) -> None:
    """Raises TypeError if a tree has int8 matrices. `what` takes float parameters only."""
    if found := names(tree):
        raise TypeError(
            f"{what} takes float parameters, but {found[0]} is int8: pass "
            "jlstm.dequantize(config, params)"
        )


def where_found(shapes: Any, found: Collection[str]) -> Any:
    """A tree of jax.ShapeDtypeStruct, with those of a Quantized for each matrix that is int8.

    `found` has the names of the arrays of a file or a dictionary, such as "layers.0.w_x.values".
    """

    def matrix(path: Any, a: jax.ShapeDtypeStruct) -> Any:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if path[-1].name not in MATRICES or f"{name}.values" not in found:
            return a
        columns = (*a.shape[:-2], a.shape[-1])
        return Quantized(
            jax.ShapeDtypeStruct(a.shape, jnp.int8), jax.ShapeDtypeStruct(columns, jnp.float32)
        )

    return jax.tree_util.tree_map_with_path(matrix, shapes)


def as_float(tree: Any, dtype: str | jnp.dtype) -> Any:
    """`tree` with float matrices in place of int8 ones.

    A call does this once, before all loops over time. It is faster than reading int8 weights in
    every step. On CPU at batch 1, 150 steps of 256 units take 2.6 ms with the kernel on converted
    weights, 3.5 ms with a scan on converted weights, and 3.4 ms with a scan whose steps convert
    them. 50 steps of 1,024 units take 36, 57 and 45 ms.

    Args:
      tree: parameters.
      dtype: the dtype of products. The matrices are float32, or float64 for float64.

    Raises:
      TypeError: a derivative with respect to an int8 matrix is taken.
    """
    wide = state_dtype(dtype).name
    return jax.tree.map(
        lambda a: _matrix(wide, *a) if is_quantized(a) else a, tree, is_leaf=is_quantized
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _matrix(dtype: str, values: jax.Array, scale: jax.Array) -> jax.Array:
    return values.astype(dtype) * jnp.expand_dims(scale.astype(dtype), -2)


@functools.partial(_matrix.defjvp, symbolic_zeros=True)
def _refuse_derivatives(dtype: str, primals: Any, tangents: Any) -> tuple[Any, Any]:
    # The tangent of int8 values is always zero. That of the scale is not if someone differentiates
    # with respect to the parameters.
    if isinstance(tangents[1], SymbolicZero):
        made = _matrix(dtype, *primals)
        return made, jnp.zeros_like(made)
    raise TypeError(
        f"a derivative with respect to an int8 matrix of shape {primals[0].shape} was asked for, "
        "but quantized parameters are for inference: their values are whole numbers. "
        "Differentiate with respect to float parameters and call jlstm.quantize(config, params) "
        "after training. For derivatives with respect to inputs or carry, make the quantized "
        "parameters a constant: jax.grad(lambda xs: loss(config, params, xs))(xs)"
    )
