"""What other LSTMs are asked for: a stack of plain layers, first step to last."""

from jlstm.bench.peers import UnsupportedError
from jlstm.config import Config


def require(config: Config) -> None:
    """UnsupportedError unless every layer is one that all frameworks have."""
    if config.learn_initial_carry:
        raise UnsupportedError("compared without a learned initial carry only")
    for n, layer in enumerate(config.layers):
        if not layer.streams:
            way = "both ways" if layer.bidirectional else "backwards"
            raise UnsupportedError(f"compared on forward layers only; layer {n} runs {way}")
        if layer.residual:
            raise UnsupportedError(f"compared without residual connections only; layer {n} has one")
        if not layer.bias:
            raise UnsupportedError(f"compared with biases only; layer {n} has none")
