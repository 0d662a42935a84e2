"""The serialised form of Pallas kernels, where JAX would write a newer one than libtpu reads."""

import dataclasses
import functools
import importlib.metadata
from typing import Any

import jax


@functools.cache
def reads_older_form_only() -> bool:
    """Whether jax 0.7 writes kernels for TPUs in a form that the installed libtpu refuses.

    jax 0.7.2 writes version 8 of Mosaic's form for any libtpu that was built since 2025-08-14.
    libtpu 0.0.21.1, which Colab's TPUs have, was built on 2025-08-25 and reads up to version 7.
    libtpu 0.0.23, which jax 0.7.2 asks for, reads version 8; it reads version 7 too, so versions
    between the two are given that.
    """
    try:
        libtpu = importlib.metadata.version("libtpu")
    except importlib.metadata.PackageNotFoundError:
        return False
    numbers = tuple(int(part) for part in libtpu.split(".")[:3] if part.isdigit())
    return jax.__version_info__[:2] == (0, 7) and numbers < (0, 0, 23)


def readable(ctx: Any) -> Any:
    """A lowering context under which JAX writes kernels in a form that the installed libtpu reads.

    JAX writes an older form of kernels into exported programs, for machines that lag behind. Where
    libtpu needs that form, this asks for it in a program that is compiled here.
    """
    if not reads_older_form_only():
        return ctx
    module = ctx.module_context
    parameters = dataclasses.replace(module.lowering_parameters, for_export=True)
    return ctx.replace(module_context=module.replace(lowering_parameters=parameters))
