"""Code shared by contenders: refusals, directions and padding."""

import jax
import jax.numpy as jnp

from jlstm.bench.peers import UnsupportedError
from jlstm.bench.problem import Problem
from jlstm.config import Config, Layer


def require(
    problem: Problem,
    *,
    lengths: bool = True,
    resets: bool = True,
    directions: bool = True,
    dtypes: tuple[str, ...] = ("float32", "bfloat16", "float64"),
) -> None:
    """UnsupportedError if a case needs a feature that is False for the contender."""
    config = problem.case.config
    require_plain_layers(config)
    if problem.lengths is not None and not lengths:
        raise UnsupportedError("it does not support lengths")
    if problem.resets is not None and not resets:
        raise UnsupportedError("it does not support resets")
    if not directions and any(layer.bidirectional for layer in config.layers):
        raise UnsupportedError("it does not support bidirectional layers")
    if config.dtype not in dtypes:
        raise UnsupportedError(f"it is timed in {', '.join(dtypes)} only")


def require_plain_layers(config: Config) -> None:
    """UnsupportedError unless all frameworks support every layer."""
    for n, layer in enumerate(config.layers):
        if layer != Layer(layer.hidden_size, bidirectional=layer.bidirectional):
            raise UnsupportedError(f"layer {n} has options that not all contenders support")
    if config.learn_initial_carry:
        raise UnsupportedError("a learned initial carry is not supported by all contenders")


def zero_padding(ys: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """Time-major outputs, set to zero past the lengths."""
    if lengths is None:
        return ys
    return jnp.where((jnp.arange(ys.shape[0])[:, None] < lengths)[..., None], ys, 0)
