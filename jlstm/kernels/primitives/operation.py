"""JAX primitives that are defined by a function and may have a faster lowering on a platform.

Derivatives, transposes and batching come from the function, called `meaning`, unless another rule
is set.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jlstm.kernels.primitives import device_types, libtpu_form, partition

Arrays = Sequence[jax.Array]
# (lowering context, **options) -> a function of the operands, or None to lower the meaning.
Lowering = Callable[..., Callable[..., Arrays] | None]


def operation(
    name: str,
    meaning: Callable[..., Arrays],
    result_types: Callable[..., Sequence[Any]],
    lowerings: Mapping[str, Lowering] | None = None,
) -> Primitive:
    """Defines a primitive.

    Args:
      name: its name in programs.
      meaning: (*operands, **options) -> results.
      result_types: (*types of operands, **options) -> types of results, for operands whose types
        include no sharding. For others, the types come from the meaning.
      lowerings: for each platform, a lowering to use instead of the meaning.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True

    @functools.cache
    def compiled(**options: Any) -> Any:
        return jax.jit(functools.partial(primitive.bind, **options))

    def evaluate(*operands: Any, **options: Any) -> Any:
        if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
            return meaning(*operands, **options)
        return compiled(**options)(*operands)

    def abstract(*avals: Any, **options: Any) -> Any:
        if not device_types.plain(avals):
            return device_types.of_results(functools.partial(meaning, **options), avals)
        return [ShapedArray(a.shape, a.dtype) for a in result_types(*avals, **options)]

    def jvp(primals: Arrays, tangents: Sequence[Any], **options: Any) -> Any:
        return through_meaning(primitive, meaning, primals, tangents, **options)

    def transpose(cts: Arrays, *args: Any, **options: Any) -> Any:
        at = [n for n, a in enumerate(args) if ad.is_undefined_primal(a)]

        def of(*some: Any) -> Any:
            operands = list(args)
            for n, a in zip(at, some, strict=True):
                operands[n] = a
            return meaning(*operands, **options)

        back = jax.linear_transpose(
            of, *(jax.ShapeDtypeStruct(args[n].aval.shape, args[n].aval.dtype) for n in at)
        )
        made = dict(zip(at, back([ad.instantiate_zeros(ct) for ct in cts]), strict=True))
        return [made.get(n) for n in range(len(args))]

    def batched(args: Arrays, dims: Sequence[Any], **options: Any) -> Any:
        out = jax.vmap(functools.partial(meaning, **options), tuple(dims))(*args)
        return out, [0] * len(out)

    primitive.def_impl(evaluate)
    primitive.def_abstract_eval(abstract)
    ad.primitive_jvps[primitive] = jvp
    ad.primitive_transposes[primitive] = transpose
    batching.primitive_batchers[primitive] = batched
    mlir.register_lowering(primitive, mlir.lower_fun(meaning, multiple_results=True))
    for platform, lowering in (lowerings or {}).items():
        serve(primitive, meaning, lowering, platform)
    return primitive


def serve(
    primitive: Primitive, meaning: Callable[..., Arrays], lowering: Lowering, platform: str
) -> None:
    """Registers `lowering` for a platform. If it returns None, the meaning is lowered."""

    def lower(ctx: Any, *args: Any, **options: Any) -> Any:
        function = lowering(ctx, **options) or functools.partial(meaning, **options)
        if platform == "tpu":
            ctx = libtpu_form.readable(ctx)
        return mlir.lower_fun(function, multiple_results=True)(ctx, *args)

    mlir.register_lowering(primitive, lower, platform=platform)
    partition.needs_devices(primitive)


def through_meaning(
    primitive: Primitive,
    meaning: Callable[..., Arrays],
    primals: Arrays,
    tangents: Sequence[Any],
    **options: Any,
) -> tuple[Arrays, Arrays]:
    """Results of an operation, and their tangents by its meaning; `tangents` may hold ad.Zero."""
    at = [n for n, t in enumerate(tangents) if not isinstance(t, ad.Zero)]

    def moving(*some: Any) -> Any:
        operands = list(primals)
        for n, a in zip(at, some, strict=True):
            operands[n] = a
        return meaning(*operands, **options)

    moved = jax.jvp(moving, [primals[n] for n in at], [tangents[n] for n in at])[1]
    return primitive.bind(*primals, **options), moved
