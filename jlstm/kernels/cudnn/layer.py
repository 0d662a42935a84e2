"""Operations for kernels that run a whole layer and save residuals that only they can read.

They are defined by the operations of `fused`. Derivatives for which there is no kernel come from
these too: forward mode, second derivatives, and gradients mapped by vmap.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad, batching

from jlstm import masking
from jlstm.cell import NO_MASKS
from jlstm.kernels import fused
from jlstm.kernels.cudnn import calls
from jlstm.kernels.plain import PLAIN
from jlstm.kernels.primitives import device_types, folding
from jlstm.kernels.primitives.operands import Cotangents, Layered, Through, names
from jlstm.kernels.primitives.operation import operation
from jlstm.kernels.recurrence import Inputs
from jlstm.layer import Layer
from jlstm.params import Carry, LayerParams


def run(
    layer: Layer, inputs: Inputs, *, reverse: tuple[bool, ...], dtype: jnp.dtype
) -> tuple[Carry, jax.Array]:
    """Runs a plain layer over a sequence; a `recurrence.Recurrence`.

    There are no resets, and the valid steps of a sequence are those before its length.
    """
    assert inputs.resets is None, "cuDNN takes none"
    params, carry, xs, valid = inputs.params, inputs.carry, inputs.xs, inputs.valid
    arrays = jax.tree.leaves((params, carry, xs, valid))
    known = all(isinstance(n, int) and n > 0 for n in xs.shape)
    if not known or any(map(device_types.explicit, arrays)):
        return fused.run(layer, inputs, reverse=reverse, dtype=dtype)
    lengths = None if valid is None else jnp.sum(valid, axis=0, dtype=jnp.int32)
    w_x, w_h = (a.astype(dtype) for a in params[:2])
    b = None if params.b is None else params.b.astype(dtype)
    given = Layered(w_x, w_h, b, carry, xs[None], lengths)
    made = _bind_run(given, precise=calls.precise())
    return made.carry, made.hs


def _bind_run(given: Layered, precise: bool) -> Through:
    leaves, tree = jax.tree.flatten(given)
    made = run_p.bind(*leaves, tree=tree, kept=calls.size_for(given, precise), precise=precise)
    return Through(Carry(*made[:2]), *made[2:])


def _meant(given: Layered) -> tuple[Carry, jax.Array]:
    """The last carry and outputs of a run, by the operations of `fused`."""
    lengths = given.lengths
    valid = None if lengths is None else masking.within(lengths, given.xs.shape[1])
    params = LayerParams(given.w_x, given.w_h, given.b)
    inputs = Inputs(params, given.carry, given.xs[0], given.carry, valid, None, NO_MASKS, NO_MASKS)
    reverse = (False, True)[: len(given.w_h)]
    return fused.run(PLAIN, inputs, reverse=reverse, dtype=given.w_h.dtype)


def meaning_of_run(*leaves: Any, tree: Any, kept: int, precise: bool) -> Any:
    """The definition of a run. It has no residuals for a kernel, and returns NaN in their place."""
    carry, hs = _meant(jax.tree.unflatten(tree, leaves))
    nothing = jnp.full((kept,), jnp.nan, hs.dtype) + jnp.sum(hs[:, :0])  # the sharding type of hs
    sequences = jnp.zeros(math.prod(hs.shape[2:-1]), hs.dtype) + jnp.sum(hs[:, :0])
    return [*carry, hs, nothing, sequences]


def _types_of_run(*avals: Any, tree: Any, kept: int, precise: bool) -> Any:
    given: Layered = jax.tree.unflatten(tree, avals)
    hs = (*given.carry.h.shape[:1], given.xs.shape[1], *given.carry.h.shape[1:])
    sequences = (math.prod(hs[2:-1]),)
    shapes = (given.carry.c.shape, given.carry.h.shape, hs, (kept,), sequences)
    return [jax.ShapeDtypeStruct(shape, given.w_h.dtype) for shape in shapes]


def meaning_of_gradients(*leaves: Any, tree: Any, precise: bool) -> Any:
    """The definition of the gradients: they recompute the run instead of reading residuals."""
    given: Cotangents = jax.tree.unflatten(tree, leaves)

    def of(floats: Layered) -> Any:
        return _meant(floats._replace(lengths=given.at.lengths))

    back = jax.vjp(of, given.at._replace(lengths=None))[1]
    return jax.tree.leaves(back((given.d_carry, given.d_hs)))


def _types_of_gradients(*avals: Any, tree: Any, precise: bool) -> Any:
    return jax.tree.leaves(jax.tree.unflatten(tree, avals).at._replace(lengths=None))


def _derivative(*leaves: Any, tree: Any, precise: bool) -> Any:
    at, _, moved = jax.tree.unflatten(tree, leaves)

    def of(floats: Layered) -> Any:
        return _meant(floats._replace(lengths=at.lengths))

    carry, hs = jax.jvp(of, (at._replace(lengths=None),), (moved,))[1]
    return [*carry, hs]


def _types_of_derivative(*avals: Any, tree: Any, precise: bool) -> Any:
    _, through, _ = jax.tree.unflatten(tree, avals)
    return [*through.carry, through.hs]


def _lowered(ctx: Any, *, tree: Any, precise: bool, **_: Any) -> Callable[..., Any] | None:
    return calls.lowering(ctx, jax.tree.unflatten(tree, ctx.avals_in), precise)


LOWERINGS = {"cuda": _lowered}
run_p = operation("lstm_layer", meaning_of_run, _types_of_run, LOWERINGS)
gradients_p = operation(
    "lstm_layer_gradients", meaning_of_gradients, _types_of_gradients, LOWERINGS
)
derivative_p = operation("lstm_layer_derivative", _derivative, _types_of_derivative)


def _run_jvp(
    primals: Sequence[Any], tangents: Sequence[Any], *, tree: Any, kept: int, precise: bool
) -> Any:
    at: Layered = jax.tree.unflatten(tree, primals)
    made = run_p.bind(*primals, tree=tree, kept=kept, precise=precise)
    moved: Layered = jax.tree.unflatten(tree, tangents)
    moved = jax.tree.map(
        ad.instantiate_zeros,
        moved._replace(lengths=None),
        is_leaf=lambda a: isinstance(a, ad.Zero),
    )
    leaves, structure = jax.tree.flatten((at, Through(Carry(*made[:2]), *made[2:]), moved))
    d_made = derivative_p.bind(*leaves, tree=structure, precise=precise)
    return made, [*d_made, *map(device_types.zeros_like, made[3:])]


def _derivative_transpose(cts: Sequence[Any], *args: Any, tree: Any, precise: bool) -> Any:
    at, through, _ = jax.tree.unflatten(tree, args)
    d_c, d_h, d_hs = map(ad.instantiate_zeros, cts)
    leaves, structure = jax.tree.flatten(Cotangents(at, through, Carry(d_c, d_h), d_hs))
    made = gradients_p.bind(*leaves, tree=structure, precise=precise)
    return fused.where_linear(args, len(jax.tree.leaves((at, through))), made)


def _run_batched(
    args: Sequence[Any], dims: Sequence[Any], *, tree: Any, kept: int, precise: bool
) -> Any:
    given: Layered = jax.tree.unflatten(tree, args)
    of = names(given)
    if any(d is not None for name, d in zip(of, dims, strict=True) if name in ("w_x", "w_h", "b")):
        # The size 0 of its residuals tells `calls.lowering` that no kernel can compute gradients.
        meaning = jax.vmap(
            lambda *a: meaning_of_run(*a, tree=tree, kept=0, precise=precise), tuple(dims)
        )
        return meaning(*args), [0] * 5
    operands, _, _ = folding.batch(of, args, dims, (False,) * len(given.w_h))
    made = _bind_run(jax.tree.unflatten(tree, operands), precise)
    results, at = folding.unbatch(["carry", "carry", "hs"], [*made.carry, made.hs], 1, False)
    return [*results, made.kept, made.sequences], [*at, None, None]


ad.primitive_jvps[run_p] = _run_jvp
ad.primitive_transposes[derivative_p] = _derivative_transpose
batching.primitive_batchers[run_p] = _run_batched
