"""What other frameworks are asked for: a stack of plain layers, first step to last."""

from jlstm.bench.peers import UnsupportedError
from jlstm.config import Config


def require(config: Config) -> None:
    """UnsupportedError unless every layer is one that all frameworks have."""
    if config.dtype != "float32" or config.param_dtype != "float32":
        raise UnsupportedError("compared in float32 only")
    if config.learn_initial_carry:
        raise UnsupportedError("no learned initial carry")
    for layer in config.layers:
        if not layer.streams:
            raise UnsupportedError("compared on layers that run forward only")
        if layer.residual:
            raise UnsupportedError("no residual connections")
        if not layer.bias:
            raise UnsupportedError("always has a bias")
