"""What a contender in JAX may have to refuse, and how directions and padding are treated."""

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
    """UnsupportedError where a case needs what a contender lacks (what is False)."""
    config = problem.case.config
    require_plain_layers(config)
    if problem.lengths is not None and not lengths:
        raise UnsupportedError("it takes no lengths")
    if problem.resets is not None and not resets:
        raise UnsupportedError("it takes no resets")
    if not directions and any(layer.bidirectional for layer in config.layers):
        raise UnsupportedError("it has no bidirectional layers")
    if config.dtype not in dtypes:
        raise UnsupportedError(f"it is compared in {', '.join(dtypes)} only")


def require_plain_layers(config: Config) -> None:
    """UnsupportedError unless every layer is one that all frameworks have."""
    for n, layer in enumerate(config.layers):
        if layer != Layer(layer.hidden_size, bidirectional=layer.bidirectional):
            raise UnsupportedError(f"layer {n} has options that are not compared")
    if config.learn_initial_carry:
        raise UnsupportedError("it is compared without a learned initial carry only")


def zero_padding(ys: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """Time-major outputs with zeros past the lengths."""
    if lengths is None:
        return ys
    return jnp.where((jnp.arange(ys.shape[0])[:, None] < lengths)[..., None], ys, 0)
