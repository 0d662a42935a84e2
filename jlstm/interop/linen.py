"""Flax linen: the variables of LSTMCell and OptimizedLSTMCell, alone, in RNN, in Bidirectional."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.config import Config
from jlstm.interop import flax
from jlstm.interop.report import Report
from jlstm.interop.sides import ORDER, Gates, Side, bias_of, network, sides_of
from jlstm.params import Params


def from_linen(
    variables: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    report: Report | None = None,
) -> tuple[Config, Params]:
    """Converts the weights of flax.linen's LSTMCell or OptimizedLSTMCell.

    Linen stores one kernel per gate: ii to io [I, H], and hi to ho [H, H] with biases. Variables do
    not say whether an RNN had reverse=True or time_major=True, or how Bidirectional merged its
    outputs. The network is taken to run forward, batch-major, with concatenated directions.

    Args:
      variables: the variables of a cell, or of RNN or Bidirectional over a cell, with or without
        the "params" level; or a list of these, one per layer.
      activation, recurrent_activation: the cell's activation_fn and gate_fn, which the variables do
        not hold.
      report: receives lines that say what the conversion did.

    Returns:
      config and params, in the dtype of the weights: float32, bfloat16 or float64. float16 becomes
      float32.

    Raises:
      TypeError: variables is something else, such as a module or a class.
      ValueError: a variable is missing, as those of the second direction if both share one cell;
        or shapes do not fit each other.

    >>> import jax
    >>> from flax import linen
    >>> cell, key = linen.LSTMCell(4), jax.random.key(0)
    >>> carry = cell.initialize_carry(key, (6,))
    >>> config, params = from_linen(cell.init(key, carry, jnp.zeros(6)))
    >>> params.layers[0].w_x.shape
    (6, 16)
    """
    report = Report() if report is None else report
    listed = list(variables) if isinstance(variables, (list, tuple)) else [variables]
    if not listed:
        raise ValueError("the list of variables is empty; expected one cell's variables per layer")
    sides = [[_side(cell) for cell in _directions(own, report)] for own in listed]
    report.add("the kernels of single gates were concatenated")
    layers = [flax.layer_of(own, activation, recurrent_activation) for own in sides]
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report)


def to_linen(config: Config, params: Params, *, report: Report | None = None) -> list[Any]:
    """Variables {"params": ...} of linen's LSTMCell, one per layer.

    A bidirectional layer gives the variables of Bidirectional(RNN(cell), RNN(cell)), which
    concatenates its outputs. Variables do not hold activations: construct each cell with the
    layer's activation_fn and gate_fn.

    Args:
      config: the network.
      params: its parameters.
      report: receives lines that say what the conversion did.

    Returns:
      A list of variables, lowest layer first: kernels [I, H] and [H, H] and biases [H], in
      config.param_dtype.

    Raises:
      TypeError, ValueError: params do not fit config, or the cell does not support an option.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4])
    >>> (variables,) = to_linen(config, init(jax.random.key(0), config))
    >>> variables["params"]["if"]["kernel"].shape
    (6, 4)
    """
    report = Report() if report is None else report
    flax.require_cells(config, params, "linen's LSTMCell", report, "bidirectional")
    report.add("kernels were split by gate")
    made = []
    for layer, own in zip(config.layers, params.layers, strict=True):
        cells = []
        for side in sides_of(layer, own):
            cell: dict[str, Any] = {}
            b = bias_of(side)
            for gate in ORDER:
                cell[f"i{gate}"] = {"kernel": jnp.asarray(getattr(side.w_x, gate))}
                kernel, bias = getattr(side.w_h, gate), getattr(b, gate)
                cell[f"h{gate}"] = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
            cells.append(cell)
        if not layer.bidirectional:
            made.append({"params": cells[0]})
            continue
        names = ("forward_rnn", "backward_rnn")
        both = {name: {"cell": cell} for name, cell in zip(names, cells, strict=True)}
        made.append({"params": both})
    return made


def _directions(variables: Any, report: Report) -> list[Any]:
    if not isinstance(variables, Mapping):
        raise TypeError(
            f"variables holds {type(variables).__name__}; expected the result of cell.init(...) or "
            'rnn.init(...), a mapping with "params", or a list of these, one per layer'
        )
    own = variables.get("params", variables)
    if not isinstance(own, Mapping):
        raise TypeError(f'"params" holds {type(own).__name__}; expected the cell\'s variables')
    if {"cell", "forward_rnn", "backward_rnn"} & set(own):
        report.add("linen's RNN is batch-major by default: pass time_major=False to apply")
    ways = ("forward_rnn", "backward_rnn")
    if set(ways) & set(own):
        parts = [own.get(name) for name in ways]
        cells = [part.get("cell") if isinstance(part, Mapping) else part for part in parts]
        held = [name for name, cell in zip(ways, cells, strict=True) if jax.tree.leaves(cell)]
        if len(held) == 1:
            raise ValueError(
                f"a Bidirectional's variables have a cell in {held[0]} alone, as when both "
                "directions share it; a layer has weights for each direction: to start both from "
                'the same, pass {"forward_rnn": own, "backward_rnn": own} with own = '
                f'variables["params"]["{held[0]}"]'
            )
        return cells
    return [own.get("cell", own)]


def _side(cell: Any) -> Side:
    """The arrays of one cell.

    Raises:
      ValueError: `cell` lacks an array of an LSTM cell.
    """

    def arrays(of: str, what: str, axes: int) -> Gates:
        return Gates(*(_array(cell, f"{of}{gate}", what, axes) for gate in ORDER))

    return Side(arrays("i", "kernel", 2), arrays("h", "kernel", 2), arrays("h", "bias", 1))


def _array(cell: Any, dense: str, what: str, axes: int) -> np.ndarray:
    known = cell if isinstance(cell, Mapping) else {}
    own = known.get(dense)
    if not isinstance(own, Mapping) or what not in own or np.ndim(own[what]) != axes:
        inner = [name for name, part in known.items() if isinstance(part, Mapping) and "hf" in part]
        hint = f"; pass the part of one cell, such as {inner[0]!r}" if inner else ""
        raise ValueError(
            f"no {what} of {axes} axes for {dense} among the cell's variables "
            f"{sorted(map(str, known))[:10]}; expected those of linen.LSTMCell: kernels ii, if, "
            f"ig, io, and hi, hf, hg, ho with biases{hint}"
        )
    return np.asarray(own[what])
