"""Equinox: nn.LSTMCell."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.config import Config, Layer
from jlstm.interop import needs
from jlstm.interop.report import Report
from jlstm.interop.sides import Side, join, network, require, sides_of, split
from jlstm.params import Params


def from_equinox(
    cells: Any | Sequence[Any], *, report: Report | None = None
) -> tuple[Config, Params]:
    """Converts the weights of Equinox's LSTMCell.

    Equinox stores them as [4H, I], [4H, H] and [4H] in the gate order i, f, g, o.

    Args:
      cells: one cell, or a list with one cell per layer.
      report: receives lines that say what the conversion did.

    Returns:
      config and params, in the dtype of the weights: float32, bfloat16 or float64. float16 becomes
      float32.

    Raises:
      TypeError, ValueError: a value is not an LSTMCell, a subclass overrides __call__, or shapes
        do not fit each other.
      ImportError: Equinox is not installed.

    >>> import equinox
    >>> config, params = from_equinox(equinox.nn.LSTMCell(6, 4, key=jax.random.key(0)))
    >>> params.layers[0].w_x.shape
    (6, 16)
    """
    equinox = needs.module("equinox")
    report = Report() if report is None else report
    listed: list[Any] = list(cells) if isinstance(cells, (list, tuple)) else [cells]
    if not listed:
        raise ValueError("the list of cells is empty; expected one cell per layer")
    sides, layers = [], []
    for cell in listed:
        if not isinstance(cell, equinox.nn.LSTMCell):
            raise TypeError(f"cells holds {type(cell).__name__}; expected equinox.nn.LSTMCell")
        needs.own_methods(cell, equinox.nn.LSTMCell, "__call__")
        b = None if cell.bias is None else split(np.asarray(cell.bias))
        w_x, w_h = (np.asarray(w).T for w in (cell.weight_ih, cell.weight_hh))
        sides.append([Side(split(w_x), split(w_h), b)])
        layers.append(Layer(cell.hidden_size, bias=b is not None, forget_bias=0.0))
    report.add("matrices were transposed")
    return network(listed[0].input_size, layers, sides, report)


def to_equinox(config: Config, params: Params, *, report: Report | None = None) -> list[Any]:
    """One equinox.nn.LSTMCell with these weights for each layer.

    Args:
      config: the network.
      params: its parameters.
      report: receives lines that say what the conversion did.

    Returns:
      A list of cells, lowest layer first, in config.param_dtype, with weight_ih [4H, I], weight_hh
      [4H, H], bias [4H].

    Raises:
      TypeError, ValueError: params do not fit config, or the cell does not support an option.
      ImportError: Equinox is not installed.

    >>> from jlstm import init
    >>> config = Config.stack(6, [4])
    >>> to_equinox(config, init(jax.random.key(0), config))[0].weight_ih.shape
    (16, 6)
    """
    equinox = needs.module("equinox")
    report = Report() if report is None else report
    require(config, params, "Equinox's LSTMCell", ("bias",), report)
    report.add("matrices were transposed")
    made = []
    for layer, own, size in zip(config.layers, params.layers, config.input_sizes, strict=True):
        (side,) = sides_of(layer, own)
        cell = equinox.nn.LSTMCell(
            size,
            layer.hidden_size,
            use_bias=layer.bias,
            dtype=jnp.dtype(config.param_dtype),
            key=jax.random.key(0),
        )
        arrays = [join(side.w_x).T, join(side.w_h).T]
        arrays += [] if side.b is None else [join(side.b)]

        def parts(cell: Any, count: int = len(arrays)) -> Any:
            return (cell.weight_ih, cell.weight_hh, cell.bias)[:count]

        made.append(equinox.tree_at(parts, cell, tuple(map(jnp.asarray, arrays))))
    return made
