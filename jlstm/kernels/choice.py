"""Which implementation of the recurrence serves a call, and why others do not."""

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
      name: what `implementation=` calls it.
      run: the recurrence.
      refusal: (layer, dtype, platform) -> why it cannot serve that layer there, or None.
      lacks: arguments of `apply` that it cannot serve, on any layer.
    """

    name: str
    run: Recurrence
    refusal: Callable[[Layer, str, str], str | None]
    lacks: tuple[str, ...] = ()


class RefusedError(ValueError):
    """No implementation of the name that was asked for serves the call."""


def _serves_everything(layer: Layer, dtype: str, platform: str) -> None:
    return None


# Fastest first.
IMPLEMENTATIONS = (
    Implementation("cpu", fused.run, cpu.refusal),
    Implementation("tpu", fused.run, tpu.refusal),
    Implementation("cudnn", cudnn_layer.run, cudnn.refusal, lacks=("mask", "resets")),
    Implementation("scan", scan.run, _serves_everything),
)


def implementations(config: Config, platform: str | None = None) -> list[tuple[str, bool, str]]:
    """Which implementations serve a network, fastest first.

    Args:
      config: the network.
      platform: "cpu", "cuda", "rocm" or "tpu"; by default the one JAX computes on.

    Returns:
      (name, usable, reason): `reason` says why an unusable one refuses, and is empty otherwise.

    Raises:
      TypeError, ValueError: not a config, or a platform that is not one of the four.

    >>> [name for name, usable, _ in implementations(Config.stack(6, [4, 5]), "tpu") if usable]
    ['tpu', 'scan']
    """
    require_config(config)
    if platform == "gpu":
        raise ValueError('platform is "gpu", which JAX calls two kinds: expected "cuda" or "rocm"')
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
    """The recurrence of each layer: the fastest that serves it for "auto", else the one named.

    `draws` says whether the call has a random key; without one nothing is dropped, whatever a layer
    says. `mask` and `resets` are those of the call.

    Where none is faster than the scan, "auto" takes another form of it than the name "scan" does:
    one that is lowered as suits the platform.

    Raises:
      ValueError: no implementation has that name.
      RefusedError: it cannot serve all layers.
    """
    layers = [layer if draws else layer.without_key for layer in layers]
    platform = _default_platform()
    validation.known_name("implementation", name, ["auto", *(i.name for i in IMPLEMENTATIONS)])
    asked = [n for n, a in (("mask", mask), ("resets", resets)) if a is not None]
    if name == "auto":
        return tuple(_fastest(layer, dtype, platform, asked) for layer in layers)
    named = next(i for i in IMPLEMENTATIONS if i.name == name)
    reason = _refusal(named, layers, dtype, platform) or _lacking(named, asked)
    if reason is not None:
        raise RefusedError(
            f"implementation {name!r} cannot serve this network on {platform}: {reason}. "
            'Use implementation="auto", which gives each layer the fastest that serves it'
        )
    return (named.run,) * len(layers)


def _fastest(layer: Layer, dtype: str, platform: str, asked: Sequence[str]) -> Recurrence:
    for implementation in IMPLEMENTATIONS:
        reason = implementation.refusal(layer, dtype, platform) or _lacking(implementation, asked)
        if reason is None and implementation.run is not scan.run:
            return implementation.run
    # A program that is traced here may be lowered for another chip, which has a kernel.
    return fused.run if plain.refusal(layer, dtype) is None else unrolled.run


def _lacking(implementation: Implementation, asked: Sequence[str]) -> str | None:
    lacking = [argument for argument in asked if argument in implementation.lacks]
    return f"it takes no {' and no '.join(lacking)}" if lacking else None


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
    # JAX calls both kinds of GPU "gpu"; what drives the device tells them apart.
    return "rocm" if "rocm" in jax.devices()[0].client.platform_version.lower() else "cuda"
