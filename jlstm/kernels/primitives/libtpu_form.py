"""Writes Pallas kernels in a serialised form that an older libtpu can read."""

import dataclasses
import functools
import importlib.metadata
from typing import Any

import jax


def installed() -> str | None:
    """The version of libtpu; None if it is not installed or its package has another name."""
    try:
        return importlib.metadata.version("libtpu")
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def reads_older_form_only() -> bool:
    """Whether jax 0.7 writes TPU kernels in a form that the installed libtpu does not accept.

    jax 0.7.2 writes version 8 of Mosaic's serialised form for every libtpu built since 2025-08-14.
    But libtpu 0.0.21.1, the version on Colab's TPUs, was built on 2025-08-25 and reads versions up
    to 7 only. libtpu 0.0.23, which jax 0.7.2 requires, reads versions 7 and 8. Versions below
    0.0.23 therefore get version 7.
    """
    libtpu = installed()
    if libtpu is None:
        return False
    numbers = tuple(int(part) for part in libtpu.split(".")[:3] if part.isdigit())
    return jax.__version_info__[:2] == (0, 7) and numbers < (0, 0, 23)


def readable(ctx: Any) -> Any:
    """A lowering context with which JAX writes kernels in a form that the installed libtpu reads.

    JAX writes an older form into exported programs, for machines with an older libtpu. If the
    installed libtpu needs that form, this context requests it for a program that is compiled here.
    """
    if not reads_older_form_only():
        return ctx
    module = ctx.module_context
    parameters = dataclasses.replace(module.lowering_parameters, for_export=True)
    return ctx.replace(module_context=module.replace(lowering_parameters=parameters))
