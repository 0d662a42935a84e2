"""Flax: linen's LSTMCell and OptimizedLSTMCell, and those of nnx."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm import activations
from jlstm.config import Config, Layer
from jlstm.interop import needs
from jlstm.interop.report import Report
from jlstm.interop.sides import (
    Gates,
    Side,
    bias_of,
    join,
    network,
    require,
    require_one_activation,
    sides_of,
    split,
)
from jlstm.params import Params

# Functions of jax.nn that have our names; its gelu is another unless told otherwise.
_FUNCTIONS = ("sigmoid", "tanh", "relu", "elu", "selu", "silu", "softplus", "hard_sigmoid")


def from_linen(
    variables: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    report: Report | None = None,
) -> tuple[Config, Params]:
    """A network with the weights of flax.linen's LSTMCell or OptimizedLSTMCell.

    Linen keeps a kernel a gate, ii to io [I, H] and hi to ho [H, H], the latter with biases.

    Args:
      variables: one cell's, with or without "params" around them; those of RNN or Bidirectional
        over a cell; or a list of these, one a layer.
      activation, recurrent_activation: the cell's activation_fn and gate_fn, which variables do
        not hold.
      report: what was done is added to it.

    Raises:
      ValueError: a variable is missing, or shapes do not fit each other.

    >>> from flax import linen
    >>> cell, key = linen.LSTMCell(4), jax.random.key(0)
    >>> carry = cell.initialize_carry(key, (6,))
    >>> config, params = from_linen(cell.init(key, carry, jnp.zeros(6)))
    >>> params.layers[0].w_x.shape
    (6, 16)
    """
    report = Report() if report is None else report
    listed = [variables] if isinstance(variables, Mapping) else list(variables)
    sides = [[_linen_side(cell) for cell in _directions(own)] for own in listed]
    report.add("kernels of single gates were put side by side")
    return _network(sides, activation, recurrent_activation, report)


def to_linen(config: Config, params: Params, *, report: Report | None = None) -> list[Any]:
    """Variables of linen's LSTMCell, {"params": ...}, for each layer.

    A bidirectional layer's are those of Bidirectional(RNN(cell), RNN(cell)), whose outputs are
    concatenated; a cell has to be made with its activation_fn and gate_fn.

    Raises:
      ValueError: an option that the cell lacks.

    >>> from jlstm import init
    >>> config = Config.stack(6, [4])
    >>> (variables,) = to_linen(config, init(jax.random.key(0), config))
    >>> variables["params"]["if"]["kernel"].shape
    (6, 4)
    """
    report = Report() if report is None else report
    _require(config, params, "linen's LSTMCell", report, "bidirectional")
    made = []
    for layer, own in zip(config.layers, params.layers, strict=True):
        cells = []
        for side in sides_of(layer, own):
            cell: dict[str, Any] = {}
            b = bias_of(side)
            for gate in "ifgo":
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


def from_nnx(source: Any, *, report: Report | None = None) -> tuple[Config, Params]:
    """A network with the weights of flax.nnx's LSTMCell or OptimizedLSTMCell.

    Args:
      source: a cell, an nnx.RNN or nnx.Bidirectional over one, or a list of these, one a layer.
      report: what was done is added to it.

    Raises:
      TypeError, ValueError: not such a cell, or one whose activations have no name here.

    >>> from flax import nnx
    >>> config, params = from_nnx(nnx.OptimizedLSTMCell(6, 4, rngs=nnx.Rngs(0)))
    >>> params.layers[0].w_x.shape
    (6, 16)
    """
    nnx = needs.module("flax.nnx")
    report = Report() if report is None else report
    listed = source if isinstance(source, (list, tuple, nnx.List)) else [source]
    sides, names = [], []
    for own in listed:
        both = isinstance(own, nnx.Bidirectional)
        rnns = [own.forward_rnn, own.backward_rnn] if both else [own]
        cells = [rnn.cell if isinstance(rnn, nnx.RNN) else rnn for rnn in rnns]
        sides.append([_nnx_side(nnx, cell) for cell in cells])
        names.append((_named(cells[0].activation_fn), _named(cells[0].gate_fn)))
    if len(set(names)) > 1:
        raise ValueError(f"cells have different activations, {names}; convert them one by one")
    own, recurrent = names[0]
    return _network(sides, own, recurrent, report)


def to_nnx(config: Config, params: Params, *, report: Report | None = None) -> list[Any]:
    """nnx's OptimizedLSTMCell with these weights for each layer.

    Raises:
      ValueError: an option that the cell lacks.

    >>> from jlstm import init
    >>> config = Config.stack(6, [4])
    >>> to_nnx(config, init(jax.random.key(0), config))[0].dense_i.kernel.shape
    (6, 16)
    """
    nnx = needs.module("flax.nnx")
    report = Report() if report is None else report
    _require(config, params, "nnx's OptimizedLSTMCell", report)
    made = []
    for layer, own, size in zip(config.layers, params.layers, config.input_sizes, strict=True):
        (side,) = sides_of(layer, own)
        cell = nnx.OptimizedLSTMCell(
            size,
            layer.hidden_size,
            gate_fn=_function(layer.recurrent_activation),
            activation_fn=_function(layer.activation),
            param_dtype=jnp.dtype(config.param_dtype),
            dtype=jnp.dtype(config.dtype),
            rngs=nnx.Rngs(0),
        )
        for variable, array in (
            (cell.dense_i.kernel, join(side.w_x, "ifgo")),
            (cell.dense_h.kernel, join(side.w_h, "ifgo")),
            (cell.dense_h.bias, join(bias_of(side), "ifgo")),
        ):
            variable.set_value(jnp.asarray(array, config.param_dtype))
        made.append(cell)
    return made


def _require(config: Config, params: Params, name: str, report: Report, *can: str) -> None:
    activations = ("activation", "cell_activation", "recurrent_activation")
    require(config, params, name, ("bias", *activations, *can), report)
    require_one_activation(config, name)


def _directions(variables: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    own = variables.get("params", variables)
    if "forward_rnn" in own:
        return [own["forward_rnn"]["cell"], own["backward_rnn"]["cell"]]
    return [own.get("cell", own)]


def _linen_side(cell: Mapping[str, Any]) -> Side:
    try:
        w_x = Gates(*(np.asarray(cell[f"i{gate}"]["kernel"]) for gate in "ifgo"))
        w_h = Gates(*(np.asarray(cell[f"h{gate}"]["kernel"]) for gate in "ifgo"))
        b = Gates(*(np.asarray(cell[f"h{gate}"]["bias"]) for gate in "ifgo"))
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"no {error} among the cell's variables {sorted(cell)[:10]}; expected kernels ii, if, "
            "ig, io and hi, hf, hg, ho with biases, as linen.LSTMCell has them"
        ) from None
    return Side(w_x, w_h, b)


def _nnx_side(nnx: Any, cell: Any) -> Side:
    def array(variable: Any) -> np.ndarray:
        return np.asarray(variable.get_value())

    if isinstance(cell, nnx.OptimizedLSTMCell):
        w_x, w_h = array(cell.dense_i.kernel), array(cell.dense_h.kernel)
        b = array(cell.dense_h.bias)
        return Side(split(w_x, "ifgo"), split(w_h, "ifgo"), split(b, "ifgo"))
    if not isinstance(cell, nnx.LSTMCell):
        raise TypeError(
            f"source is {type(cell).__name__}; expected nnx's LSTMCell or OptimizedLSTMCell, or an "
            "RNN or Bidirectional over one"
        )
    inputs = (cell.ii, cell.if_, cell.ig, cell.io)
    states = (cell.hi, cell.hf, cell.hg, cell.ho)
    return Side(
        Gates(*(array(dense.kernel) for dense in inputs)),
        Gates(*(array(dense.kernel) for dense in states)),
        Gates(*(array(dense.bias) for dense in states)),
    )


def _network(sides: Any, own: str, recurrent: str, report: Report) -> tuple[Config, Params]:
    layers = [
        Layer(
            directions[0].w_x.i.shape[-1],
            bidirectional=len(directions) == 2,
            forget_bias=0.0,
            activation=own,
            cell_activation=own,
            recurrent_activation=recurrent,
        )
        for directions in sides
    ]
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report)


def _function(name: Any) -> Any:
    """JAX's own function where it has one of our name, so that `_named` knows it again."""
    return getattr(jax.nn, name) if name in _FUNCTIONS else activations.function(name)


def _named(function: Any) -> str:
    """Our name of one of JAX's functions."""
    for name in _FUNCTIONS:
        if function is getattr(jax.nn, name):
            return name
    raise ValueError(
        f"the activation {function} has no name here; known are those of jax.nn: {_FUNCTIONS}"
    )
