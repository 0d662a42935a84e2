"""Chooses the implementation of the recurrence for a call, and explains refusals."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from jlstm import validation
from jlstm.config import Config, require_config
from jlstm.kernels import fused, plain, scan, unrolled
from jlstm.kernels.cpu import lowering as cpu
from jlstm.kernels.cudnn import calls as cudnn
from jlstm.kernels.cudnn import layer as cudnn_layer
from jlstm.kernels.recurrence import Recurrence
from jlstm.kernels.tpu import lowering as tpu
from jlstm.layer import Layer


class Implementation(NamedTuple):
    """One way to run the recurrence.

    Attributes:
      name: its name in `implementation=`.
      run: the recurrence.
      refusal: (layer, dtype, platform) -> why it does not support that layer, or None if it does.
      lacks: arguments of `apply` that it does not support for any layer.
    """

    name: str
    run: Recurrence
    refusal: Callable[[Layer, str, str], str | None]
    lacks: tuple[str, ...] = ()


class RefusedError(ValueError):
    """The implementation that a call names does not support the call."""


def _refuses_nothing(layer: Layer, dtype: str, platform: str) -> None:
    return None


# Fastest first.
IMPLEMENTATIONS = (
    Implementation("cpu", fused.run, cpu.refusal),
    Implementation("tpu", fused.run, tpu.refusal),
    Implementation("cudnn", cudnn_layer.run, cudnn.refusal, lacks=("mask", "resets")),
    Implementation("scan", scan.run, _refuses_nothing),
)
# What people call implementations that have other names here.
OTHER_NAMES = {
    "gpu": 'the name of the kernels for NVIDIA GPUs is "cudnn"',
    "cuda": 'the name of the kernels for NVIDIA GPUs is "cudnn"',
    "pallas": 'the name of the Pallas kernels is "tpu"',
    "xla": 'the name of what XLA compiles alone is "scan"',
}


def implementations(config: Config, platform: str | None = None) -> list[tuple[str, bool, str]]:
    """Lists the implementations, fastest first, and whether each supports a network.

    Args:
      config: the network. The answer is for calls with a random key, in which dropout is active.
      platform: "cpu", "cuda", "rocm" or "tpu"; by default the one that JAX uses.

    Returns:
      A list of (name, usable, reason). If an implementation is not usable, `reason` says why;
      otherwise it is empty.

    Raises:
      TypeError, ValueError: `config` is not a Config, or `platform` is not one of the four.

    >>> [name for name, usable, _ in implementations(Config.stack(6, [4, 5]), "tpu") if usable]
    ['tpu', 'scan']
    """
    require_config(config)
    if platform == "gpu":
        raise ValueError('platform is "gpu", which may be either kind; expected "cuda" or "rocm"')
    platform = validation.known_name(
        "platform", platform or _default_platform(), ("cpu", "cuda", "rocm", "tpu")
    )
    rows = []
    for implementation in IMPLEMENTATIONS:
        reason = _refusal(implementation, config.layers, config.dtype, platform)
        rows.append((implementation.name, reason is None, reason or ""))
    return rows


def choose(
    name: str,
    layers: Sequence[Layer],
    dtype: str,
    *,
    draws: bool = False,
    mask: Any = None,
    resets: Any = None,
) -> tuple[Recurrence, ...]:
    """The recurrence of each layer: the fastest that supports it for "auto", else the named one.

    `draws` says whether the call has a random key. Without one nothing is dropped, so options for
    dropout are ignored. `mask` and `resets` are those of the call.

    If no kernel supports a layer, "auto" uses a scan that is lowered as suits the platform. "scan"
    always means the plain one.

    Raises:
      ValueError: no implementation has that name.
      RefusedError: the named implementation does not support all layers.
    """
    layers = [layer if draws else layer.without_key for layer in layers]
    platform = _default_platform()
    if (meant := OTHER_NAMES.get(name)) is not None:
        raise ValueError(f"implementation is {name!r}, which is not known; {meant}")
    validation.known_name("implementation", name, ["auto", *(i.name for i in IMPLEMENTATIONS)])
    asked = [n for n, a in (("mask", mask), ("resets", resets)) if a is not None]
    if name == "auto":
        return tuple(_fastest(layer, dtype, platform, asked) for layer in layers)
    named = next(i for i in IMPLEMENTATIONS if i.name == name)
    reason = _refusal(named, layers, dtype, platform) or _lacking(named, asked)
    if reason is not None:
        raise RefusedError(
            f"implementation {name!r} does not support this call on {platform}: {reason}. Use "
            'implementation="auto", which chooses the fastest one that supports each layer'
        )
    return (named.run,) * len(layers)


def _fastest(layer: Layer, dtype: str, platform: str, asked: Sequence[str]) -> Recurrence:
    for implementation in IMPLEMENTATIONS:
        reason = implementation.refusal(layer, dtype, platform) or _lacking(implementation, asked)
        if reason is None and implementation.run is not scan.run:
            return implementation.run
    # The platform is that of this machine, but the program may be lowered for another one that has
    # a kernel. `fused.run` chooses when it is lowered.
    return fused.run if plain.variant(layer) is None else unrolled.run


def _lacking(implementation: Implementation, asked: Sequence[str]) -> str | None:
    lacking = [argument for argument in asked if argument in implementation.lacks]
    return f"it does not support {' or '.join(lacking)}" if lacking else None


def _refusal(
    implementation: Implementation, layers: Sequence[Layer], dtype: str, platform: str
) -> str | None:
    for n, layer in enumerate(layers):
        reason = implementation.refusal(layer, dtype, platform)
        if reason is not None:
            return f"layer {n}: {reason}"
    return None


def _default_platform() -> str:
    platform = jax.default_backend()
    if platform != "gpu":
        return platform
    # JAX calls both kinds of GPU "gpu"; the platform version names the driver.
    return "rocm" if "rocm" in jax.devices()[0].client.platform_version.lower() else "cuda"
