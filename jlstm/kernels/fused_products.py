"""The tangent of the input products, and its transpose: gradients of weights and inputs.

To first order, a tangent dW_h of W_h changes z at each step exactly as a tangent h' dW_h of the
input product would, where h' is the hidden state that the step reads. Therefore all of
dz = dx W_x + x dW_x + h' dW_h + db is computed outside the loop. So are the gradients, which are
sums over time of x or h' times the gradient of z.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from jlstm.dtypes import state_dtype
from jlstm.kernels.cpu import lowering as cpu
from jlstm.kernels.primitives import device_types, operation
from jlstm.kernels.primitives.operands import Forward, Products, ProductsBackward, Residuals

# Whether the gradient is wanted of each of w_x, w_h, b and xs.
Wanted = tuple[bool, ...]


def tangent(given: Forward, moved: Forward, residuals: Residuals) -> jax.Array:
    """d_z [G, T, *batch, 4H] in the dtype of products, for the tangents `moved`.

    Tangents of type ad.Zero are skipped.
    """

    def some(a: Any) -> Any:
        return None if operation.is_zero(a) else a

    linear = (some(moved.w_x), some(moved.w_h), some(moved.b), some(moved.xs))
    if not jax.tree.leaves(linear):
        return device_types.zeros_like(residuals.gates.astype(given.w_x.dtype))
    return products_operation(Products(given.w_x, given.w_h, given.xs, residuals.h_before, *linear))


def _products(given: Products) -> jax.Array:
    """The definition of `products_operation`."""
    wide = state_dtype(given.w_x.dtype)
    total: Any = 0.0
    if given.d_xs is not None:
        total += _times(given.d_xs, given.w_x, wide)
    if given.d_w_x is not None:
        total += _times(given.xs, given.d_w_x, wide)
    if given.d_w_h is not None:
        total += _times(given.h_before, given.d_w_h, wide)
    if given.d_b is not None:
        # Added to an array of the data's type. Under an explicit mesh, the transpose of a broadcast
        # would gather the gradients of the whole batch, to sum them on every device.
        if isinstance(total, float):
            total = device_types.zeros_like(given.h_before[..., :1].astype(wide))
        total += jnp.expand_dims(given.d_b, range(1, total.ndim - 1))
    return total.astype(given.w_x.dtype)


def _times(a: jax.Array, w: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """a [G or 1, T, *batch, K] times w [G, K, N], computed in `dtype`."""
    a, w = a.astype(dtype), w.astype(dtype)
    if a.shape[0] == 1:
        return jnp.einsum("t...i,gik->gt...k", a[0], w)
    return jnp.einsum("gt...i,gik->gt...k", a, w)


def _gradients(given: ProductsBackward, *, wanted: Wanted) -> list[jax.Array]:
    """The definition of `gradients_operation`: the transpose of `_products`."""
    b = given.w_x[:, 0].astype(state_dtype(given.w_x.dtype))
    like = (given.w_x, given.w_h, b, given.xs)
    # With zeros of another sharding type, shard_map would sum the gradients over devices here.
    linear = tuple(
        device_types.zeros_like(a) if want else None for a, want in zip(like, wanted, strict=True)
    )

    def of_linear(linear: tuple[Any, ...]) -> jax.Array:
        return _products(Products(*given[:4], *linear))

    return jax.tree.leaves(jax.vjp(of_linear, linear)[1](given.d_z))


def _type_of_products(given: Products) -> Any:
    return jax.ShapeDtypeStruct((*given.h_before.shape[:-1], given.w_x.shape[-1]), given.w_x.dtype)


def _types_of_gradients(given: ProductsBackward, wanted: Wanted) -> list[Any]:
    w_x, w_h, xs = given[:3]
    b = jax.ShapeDtypeStruct(w_x.shape[::2], state_dtype(w_x.dtype))
    return [a for a, want in zip((w_x, w_h, b, xs), wanted, strict=True) if want]


products_operation = operation.define("lstm_products", _products, _type_of_products)
gradients_operation = operation.define(
    "lstm_gradients", _gradients, _types_of_gradients, {"cpu": cpu.gradients}
)


def _transpose(given: Products, ct: Any) -> Products:
    # Operands that are not undefined primals are constants, and have no cotangents.
    wanted = tuple(ad.is_undefined_primal(a) for a in given[4:])
    back = ProductsBackward(*given[:4], operation.instantiated(ct))
    made = iter(gradients_operation(back, wanted=wanted))
    return Products(
        *given[:4],
        *(next(made) if want else a for a, want in zip(given[4:], wanted, strict=True)),
    )


operation.define_transpose(products_operation, _transpose)
