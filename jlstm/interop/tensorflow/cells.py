"""Converts the variables of TensorFlow 1 cells, one per direction, to a layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jlstm.config import Layer
from jlstm.interop.sides import Side, shifted, split, split_joint
from jlstm.interop.tensorflow.names import PEEPHOLES, Cell

ORDER = "igfo"  # of the gates in kernels and biases


def layer_of(cells: Sequence[Cell], first: Side, added: float, options: dict[str, Any]) -> Layer:
    """The layer of one cell, or of one per direction. `first` has the first cell's weights."""
    return Layer(
        first.w_h.i.shape[-1],
        projection_size=None if first.projection is None else first.projection.shape[-1],
        bidirectional=len(cells) == 2,
        reverse=len(cells) == 1 and "bw" in cells[0].prefix.split("/"),
        bias=first.b is not None,
        forget_bias=added if first.b is not None else 1.0,
        peepholes=first.peepholes is not None,
        **options,
    )


def side_of(cell: Cell, found: Mapping[str, np.ndarray], added: float) -> Side:
    """A cell's weights, with `added` added to the bias of the forget gate.

    Raises:
      ValueError: the arrays are not those of an LSTM.
    """
    prefix = cell.prefix
    arrays = {last: found[name] for last, name in cell.variables.items()}
    kernel, projection = arrays["kernel"], arrays.get("projection/kernel")
    if projection is not None and projection.ndim != 2:
        raise ValueError(f"{prefix}/projection/kernel is {list(projection.shape)}; expected [H, P]")
    if "projection/bias" in arrays:
        raise ValueError(f"{prefix}/projection/bias: a projection with a bias is not supported")
    state = None if projection is None else projection.shape[-1]
    w_x, w_h = split_joint(f"{prefix}/kernel", kernel, ORDER, state)
    b = arrays.get("bias")
    peepholes = [arrays[name] for name in PEEPHOLES if name in arrays]
    if peepholes and len(peepholes) < 3:
        raise ValueError(f"{prefix} has {len(peepholes)} peephole weights; expected three or none")
    return Side(
        w_x,
        w_h,
        None if b is None else shifted(split(b, ORDER), added),
        peepholes or None,
        projection,
    )
