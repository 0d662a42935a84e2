"""The tangent of the input products, and its transpose: gradients of weights and inputs.

To first order, a tangent dW_h of W_h changes z at each step exactly as a tangent h' dW_h of the
input product would, where h' is the hidden state that the step reads. Therefore all of
dz = dx W_x + x dW_x + h' dW_h + db is computed outside the loop. So are the gradients, which are
sums over time of x or h' times the gradient of z.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from jlstm.kernels.cpu import lowering as cpu
from jlstm.kernels.primitives import device_types
from jlstm.kernels.primitives.operands import Forward, Kept, Products
from jlstm.kernels.primitives.operation import operation

# Whether the gradient is wanted of each of w_x, w_h, b and xs.
Wanted = tuple[bool, ...]


def tangent(given: Forward, moved: Forward, kept: Kept) -> jax.Array:
    """d_z [G, T, *batch, 4H] for the tangents `moved`; tangents of type ad.Zero are skipped."""

    def some(a: Any) -> Any:
        return None if isinstance(a, ad.Zero) else a

    linear = (some(moved.w_x), some(moved.w_h), some(moved.b), some(moved.xs))
    operands = Products(given.w_x, given.w_h, given.xs, kept.h_before, *linear)
    if not jax.tree.leaves(linear):
        return device_types.zeros_like(kept.gates)
    leaves, tree = jax.tree.flatten(operands)
    return products_p.bind(*leaves, tree=tree)[0]


def _products(*leaves: Any, tree: Any) -> list[jax.Array]:
    """The definition of `products_p`."""
    given: Products = jax.tree.unflatten(tree, leaves)
    total: Any = 0.0
    if given.d_xs is not None:
        total += _times(given.d_xs, given.w_x)
    if given.d_w_x is not None:
        total += _times(given.xs, given.d_w_x)
    if given.d_w_h is not None:
        total += _times(given.h_before, given.d_w_h)
    if given.d_b is not None:
        shape = (*given.h_before.shape[:-1], given.w_x.shape[-1])
        ones = (1,) * (len(shape) - 2)
        total += jnp.broadcast_to(given.d_b.reshape(shape[0], *ones, shape[-1]), shape)
    return [total]


def _times(a: jax.Array, w: jax.Array) -> jax.Array:
    """a [G or 1, T, *batch, K] times w [G, K, N]."""
    if a.shape[0] == 1:
        return jnp.einsum("t...i,gik->gt...k", a[0], w)
    return jnp.einsum("gt...i,gik->gt...k", a, w)


def _gradients(
    w_x: jax.Array,
    w_h: jax.Array,
    xs: jax.Array,
    h_before: jax.Array,
    d_z: jax.Array,
    *,
    wanted: Wanted,
) -> list[jax.Array]:
    """The definition of `gradients_p`: the transpose of `_products`."""
    like = (w_x, w_h, w_x[:, 0], xs)
    # With zeros of another sharding type, shard_map would sum the gradients over devices here.
    linear = tuple(
        device_types.zeros_like(a) if want else None for a, want in zip(like, wanted, strict=True)
    )

    def of_linear(linear: tuple[Any, ...]) -> jax.Array:
        leaves, tree = jax.tree.flatten(Products(w_x, w_h, xs, h_before, *linear))
        return _products(*leaves, tree=tree)[0]

    return jax.tree.leaves(jax.vjp(of_linear, linear)[1](d_z))


def _type_of_products(w_x: Any, w_h: Any, xs: Any, h_before: Any, *_: Any, tree: Any) -> list[Any]:
    return [jax.ShapeDtypeStruct((*h_before.shape[:-1], w_x.shape[-1]), w_x.dtype)]


def _types_of_gradients(w_x: Any, w_h: Any, xs: Any, *_: Any, wanted: Wanted) -> list[Any]:
    b = jax.ShapeDtypeStruct(w_x.shape[::2], w_x.dtype)
    return [a for a, want in zip((w_x, w_h, b, xs), wanted, strict=True) if want]


products_p = operation("lstm_products", _products, _type_of_products)
gradients_p = operation("lstm_gradients", _gradients, _types_of_gradients, {"cpu": cpu.gradients})


def _transpose(cts: Sequence[Any], *args: Any, tree: Any) -> list[Any]:
    given: Products = jax.tree.unflatten(tree, args)
    # A tangent that is not an undefined primal here is zero, but JAX could not tell.
    wanted = tuple(a is not None and ad.is_undefined_primal(a) for a in given[4:])
    d_z = ad.instantiate_zeros(cts[0])
    made = iter(gradients_p.bind(*given[:4], d_z, wanted=wanted))
    return [None] * 4 + [
        next(made) if want else None
        for a, want in zip(given[4:], wanted, strict=True)
        if a is not None
    ]


ad.primitive_transposes[products_p] = _transpose
