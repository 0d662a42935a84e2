"""What other frameworks are asked for: a stack of plain layers, first step to last."""

from jlstm.bench.peers import Unsupported
from jlstm.config import Config


def require(config: Config) -> None:
    """Unsupported unless every layer is one that all frameworks have."""
    if config.dtype != "float32" or config.param_dtype != "float32":
        raise Unsupported("compared in float32 only")
    if config.learn_initial_carry:
        raise Unsupported("no learned initial carry")
    for layer in config.layers:
        if not layer.streams:
            raise Unsupported("compared on layers that run forward only")
        if layer.residual:
            raise Unsupported("no residual connections")
        if not layer.bias:
            raise Unsupported("always has a bias")
