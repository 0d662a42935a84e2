"""cuDNN: the flat weight vector of jax.experimental.rnn."""

import jax
import jax.numpy as jnp
import numpy as np

from jlstm import validation
from jlstm.config import Config, Layer
from jlstm.interop.report import Report
from jlstm.interop.sides import Side, bias_of, join, network, require, sides_of, split
from jlstm.params import Params


def from_cudnn(
    weights: jax.Array | np.ndarray,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bidirectional: bool = False,
    *,
    report: Report | None = None,
) -> tuple[Config, Params]:
    """Converts the weights of jax.experimental.rnn.lstm.

    One vector holds the matrices [4H, I] and [4H, H] of all layers and directions, then their two
    biases [4H] each. The gate order is i, f, g, o. The two biases are summed.

    Args:
      weights: the vector that jax.experimental.rnn.init_lstm_weight returns.
      input_size, hidden_size, num_layers, bidirectional: the arguments of that function.
      report: receives lines that say what the conversion did.

    Returns:
      config and params, in the dtype of the weights: float32, bfloat16 or float64. float16 becomes
      float32.

    Raises:
      TypeError: a size is not a whole number.
      ValueError: a size is below 1, or the vector's length does not match the sizes.

    >>> weights = np.zeros(4 * 4 * (6 + 4 + 2), "float32")
    >>> from_cudnn(weights, 6, 4, 1)[1].layers[0].w_x.shape
    (6, 16)
    """
    report = Report() if report is None else report
    sizes_given = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
    for name, size in sizes_given.items():
        validation.positive_int(name, size)
    ways = 2 if bidirectional else 1
    layers = [Layer(hidden_size, bidirectional=bidirectional, forget_bias=0.0)] * num_layers
    flat = np.asarray(weights)
    sizes = [
        ways * hidden_size if n else input_size for n in range(num_layers) for _ in range(ways)
    ]
    columns = 4 * hidden_size
    expected = sum(columns * (size + hidden_size + 2) for size in sizes)
    if flat.shape != (expected,):
        raise ValueError(
            f"weights have shape {list(flat.shape)}; expected [{expected}] for {num_layers} layers "
            f"of {hidden_size} units, {input_size} inputs and {ways} directions"
        )
    at = 0

    def take(*shape: int) -> np.ndarray:
        nonlocal at
        taken = flat[at : at + int(np.prod(shape))].reshape(shape)
        at += taken.size
        return taken

    matrices = [(take(columns, size).T, take(columns, hidden_size).T) for size in sizes]
    biases = [take(columns) + take(columns) for _ in sizes]
    sides = [
        Side(split(w_x), split(w_h), split(b))
        for (w_x, w_h), b in zip(matrices, biases, strict=True)
    ]
    report.add("cuDNN's two biases were summed")
    grouped = [sides[n : n + ways] for n in range(0, len(sides), ways)]
    return network(input_size, layers, grouped, report)


def to_cudnn(config: Config, params: Params, *, report: Report | None = None) -> jax.Array:
    """The flat weight vector for jax.experimental.rnn.lstm. Its second bias is zero.

    Args:
      config: the network.
      params: its parameters.
      report: receives lines that say what the conversion did.

    Returns:
      The vector [weights], in config.param_dtype, as jax.experimental.rnn.init_lstm_weight returns
      one.

    Raises:
      TypeError, ValueError: params do not fit config, cuDNN does not support an option, or the
        layers differ in size or direction.

    >>> from jlstm import init
    >>> config = Config.stack(6, [4])
    >>> to_cudnn(config, init(jax.random.key(0), config)).shape
    (192,)
    """
    report = Report() if report is None else report
    require(config, params, "cuDNN", ("bidirectional", "bias"), report)
    sizes = {(layer.hidden_size, layer.bidirectional) for layer in config.layers}
    if len(sizes) > 1:
        raise ValueError(
            f"the layers differ: their (hidden_size, bidirectional) are {sorted(sizes)}; cuDNN "
            "needs the same for all layers"
        )
    matrices, biases = [], []
    for layer, own in zip(config.layers, params.layers, strict=True):
        for side in sides_of(layer, own):
            matrices += [join(side.w_x).T.ravel(), join(side.w_h).T.ravel()]
            b = join(bias_of(side))
            biases += [b, np.zeros_like(b)]
    return jnp.concatenate([*matrices, *biases])
