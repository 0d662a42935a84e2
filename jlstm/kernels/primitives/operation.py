"""JAX primitives that are defined by a function and may have a faster lowering on a platform.

An operation takes one tree of arrays and returns another. JAX's primitives take flat lists. Only
this module converts between the two: definitions, lowerings and rules all work on trees.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jlstm.kernels.primitives import device_types, float_checks, libtpu_form, partition

# (lowering context, types of the operands, **options) -> a function of the operands, or None to
# lower the definition.
Lowering = Callable[..., Callable[[Any], Any] | None]


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """A primitive and its definition; call it with the operands to bind the primitive.

    Attributes:
      primitive: the primitive. Its parameters are the options, and `tree`, the structure of the
        operands.
      definition: (operands, **options) -> results.
      result_types: (operands or their types, **options) -> types of the results.
    """

    primitive: Primitive
    definition: Callable[..., Any]
    result_types: Callable[..., Any]

    def __call__(self, given: Any, **options: Any) -> Any:
        """The results for the operands `given`."""
        leaves, tree = jax.tree.flatten(given)
        results = self.primitive.bind(*leaves, tree=tree, **options)
        return jax.tree.unflatten(jax.tree.structure(self.result_types(given, **options)), results)

    def flat(self, *leaves: Any, tree: Any, **options: Any) -> list[Any]:
        """The definition as a function of the leaves of the operands to those of the results."""
        return jax.tree.leaves(self.definition(jax.tree.unflatten(tree, leaves), **options))


def define(
    name: str,
    definition: Callable[..., Any],
    result_types: Callable[..., Any],
    lowerings: Mapping[str, Lowering] | None = None,
) -> Operation:
    """Defines an operation. Its derivatives, transpose and batching come from its definition.

    Args:
      name: the primitive's name in programs.
      definition: (operands, **options) -> results.
      result_types: (operands or their types, **options) -> types of results, where the operands'
        types include no sharding. For others, the types come from the definition.
      lowerings: for each platform, a lowering to use instead of the definition.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True
    op = Operation(primitive, definition, result_types)

    @functools.cache
    def compiled(**options: Any) -> Any:
        return jax.jit(functools.partial(primitive.bind, **options))

    def evaluate(*leaves: Any, **options: Any) -> Any:
        # While JAX looks for NaN, compiling would end in the same search again, without end.
        if jax.config.jax_disable_jit or float_checks.repeating():  # type: ignore[attr-defined]
            return op.flat(*leaves, **options)
        return compiled(**options)(*leaves)

    def abstract(*avals: Any, tree: Any, **options: Any) -> Any:
        if not device_types.plain(avals):
            return device_types.of_results(functools.partial(op.flat, tree=tree, **options), avals)
        results = result_types(jax.tree.unflatten(tree, avals), **options)
        return [ShapedArray(a.shape, a.dtype) for a in jax.tree.leaves(results)]

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **options: Any) -> Any:
        results = primitive.bind(*primals, **options)
        return results, _tangents(op, primals, tangents, **options)

    def transpose(cts: Sequence[Any], *args: Any, **options: Any) -> list[Any]:
        at = [n for n, a in enumerate(args) if ad.is_undefined_primal(a)]
        of = _with_others_fixed(functools.partial(op.flat, **options), args, at)
        back = jax.linear_transpose(of, *(args[n].aval for n in at))  # types with their sharding
        linear = dict(zip(at, back([ad.instantiate_zeros(ct) for ct in cts]), strict=True))
        return [linear.get(n) for n in range(len(args))]

    def batched(args: Sequence[Any], dims: Sequence[Any], **options: Any) -> Any:
        out = jax.vmap(functools.partial(op.flat, **options), tuple(dims))(*args)
        return out, [0] * len(out)

    primitive.def_impl(evaluate)
    primitive.def_abstract_eval(abstract)
    float_checks.register(primitive)
    ad.primitive_jvps[primitive] = jvp
    ad.primitive_transposes[primitive] = transpose
    batching.primitive_batchers[primitive] = batched
    mlir.register_lowering(primitive, mlir.lower_fun(op.flat, multiple_results=True))
    for platform, lowering in (lowerings or {}).items():
        register_lowering(op, lowering, platform)
    return op


def register_lowering(op: Operation, lowering: Lowering, platform: str) -> None:
    """Registers `lowering` for a platform. If it returns None, the definition is lowered."""

    def lower(ctx: Any, *args: Any, tree: Any, **options: Any) -> Any:
        types = jax.tree.unflatten(tree, ctx.avals_in)
        function = lowering(ctx, types, **options) or functools.partial(op.definition, **options)

        def flat(*leaves: Any) -> list[Any]:
            return jax.tree.leaves(function(jax.tree.unflatten(tree, leaves)))

        if platform == "tpu":
            ctx = libtpu_form.readable(ctx)
        return mlir.lower_fun(flat, multiple_results=True)(ctx, *args)

    mlir.register_lowering(op.primitive, lower, platform=platform)
    partition.needs_devices(op.primitive)


def define_jvp(op: Operation, rule: Callable[..., tuple[Any, Any]]) -> None:
    """Sets (operands, their tangents, **options) -> (results, their tangents).

    Tangents of operands may be of type ad.Zero.
    """

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, tree: Any, **options: Any) -> Any:
        given, tangents_given = (jax.tree.unflatten(tree, leaves) for leaves in (primals, tangents))
        results, tangents_of_results = rule(given, tangents_given, **options)
        return jax.tree.leaves(results), jax.tree.leaves(tangents_of_results, is_leaf=is_zero)

    ad.primitive_jvps[op.primitive] = jvp


def define_transpose(op: Operation, rule: Callable[..., Any]) -> None:
    """Sets (operands, cotangents of the results, **options) -> operands with cotangents.

    The linear operands are undefined primals. In what the rule returns, their cotangents replace
    them; all other operands are ignored. LayerBackward of results may be of type ad.Zero.
    """

    def transpose(cts: Sequence[Any], *args: Any, tree: Any, **options: Any) -> list[Any]:
        undefined = [ad.is_undefined_primal(a) for a in args]
        types = [a.aval if u else a for a, u in zip(args, undefined, strict=True)]
        results = op.result_types(jax.tree.unflatten(tree, types), **options)
        cotangents = jax.tree.unflatten(jax.tree.structure(results), cts)
        back = jax.tree.leaves(rule(jax.tree.unflatten(tree, args), cotangents, **options))
        return [ct if u else None for ct, u in zip(back, undefined, strict=True)]

    ad.primitive_transposes[op.primitive] = transpose


def define_batching(op: Operation, rule: Callable[..., tuple[Any, list[int | None]]]) -> None:
    """Sets (operands, the mapped axis of each leaf, **options) -> (results, the same of them)."""

    def batched(args: Sequence[Any], dims: Sequence[Any], *, tree: Any, **options: Any) -> Any:
        results, at = rule(jax.tree.unflatten(tree, args), dims, **options)
        return jax.tree.leaves(results), at

    batching.primitive_batchers[op.primitive] = batched


def tangents_by_definition(op: Operation, given: Any, moved: Any, **options: Any) -> Any:
    """The tangents of an operation's results by its definition; those in `moved` may be ad.Zero."""
    primals, tree = jax.tree.flatten(given)
    tangents = jax.tree.leaves(moved, is_leaf=is_zero)
    made = _tangents(op, primals, tangents, tree=tree, **options)
    return jax.tree.unflatten(jax.tree.structure(op.result_types(given, **options)), made)


def batched_by_definition(
    definition: Callable[[Any], Any], given: Any, dims: Sequence[int | None]
) -> tuple[Any, list[int | None]]:
    """The results of a definition that is mapped over an axis of each leaf; and their own axes."""
    axes = jax.tree.unflatten(jax.tree.structure(given), dims)
    results = jax.vmap(definition, (axes,))(given)
    return results, [0] * len(jax.tree.leaves(results))


def is_zero(tangent: Any) -> bool:
    """Whether a tangent or cotangent is JAX's symbolic zero."""
    return isinstance(tangent, ad.Zero)


def instantiated(moved: Any) -> Any:
    """A tree of tangents or cotangents with arrays in place of symbolic zeros."""
    return jax.tree.map(ad.instantiate_zeros, moved, is_leaf=is_zero)


def _tangents(
    op: Operation, primals: Sequence[Any], tangents: Sequence[Any], **options: Any
) -> list[Any]:
    at = [n for n, t in enumerate(tangents) if not is_zero(t)]
    moving = _with_others_fixed(functools.partial(op.flat, **options), primals, at)
    return jax.jvp(moving, [primals[n] for n in at], [tangents[n] for n in at])[1]


def _with_others_fixed(
    flat: Callable[..., Any], args: Sequence[Any], at: Sequence[int]
) -> Callable[..., Any]:
    """`flat` as a function of its arguments at the places `at`, with the others as in `args`."""

    def of(*some: Any) -> Any:
        leaves = list(args)
        for n, a in zip(at, some, strict=True):
            leaves[n] = a
        return flat(*leaves)

    return of
