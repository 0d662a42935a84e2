"""Flax nnx: LSTMCell and OptimizedLSTMCell, alone, in RNN, in Bidirectional."""

import inspect
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.config import Config, Layer
from jlstm.interop import flax, needs
from jlstm.interop.report import Report
from jlstm.interop.sides import Gates, Side, bias_of, join, network, sides_of, split
from jlstm.params import Params


def from_nnx(source: Any, *, report: Report | None = None) -> tuple[Config, Params]:
    """Converts the weights of flax.nnx's LSTMCell or OptimizedLSTMCell.

    The first has a kernel [I, H] for each gate, the second one kernel [I, 4H].

    Args:
      source: a cell, an nnx.RNN or nnx.Bidirectional over cells, or a list of these, one per layer.
      report: receives lines that say what the conversion did.

    Returns:
      config and params, in the dtype of the weights: float32, bfloat16 or float64. float16 becomes
      float32.

    Raises:
      TypeError: source is something else, or a subclass overrides __call__ or initialize_carry.
      ValueError: a cell uses something that a network does not support: an unknown activation or
        merge_fn, a custom carry_init, reversed outputs, or directions that differ.
      ImportError: Flax is not installed.

    >>> from flax import nnx
    >>> config, params = from_nnx(nnx.OptimizedLSTMCell(6, 4, rngs=nnx.Rngs(0)))
    >>> params.layers[0].w_x.shape
    (6, 16)
    """
    nnx = needs.module("flax.nnx")
    report = Report() if report is None else report
    several = isinstance(source, (list, tuple, getattr(nnx, "List", list)))
    listed = list(source) if several else [source]
    if not listed:
        raise ValueError("the list of cells is empty; expected one cell per layer")
    sides, layers = [], []
    for own in listed:
        directions, layer = _layer(nnx, own, report)
        sides.append(directions)
        layers.append(layer)
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report)


def to_nnx(config: Config, params: Params, *, report: Report | None = None) -> list[Any]:
    """One nnx.OptimizedLSTMCell with these weights for each layer.

    Args:
      config: the network.
      params: its parameters.
      report: receives lines that say what the conversion did.

    Returns:
      A list of cells, lowest layer first, with kernels [I, 4H] and [H, 4H], in config.param_dtype.

    Raises:
      TypeError, ValueError: params do not fit config, or the cell does not support an option.
      ImportError: Flax is not installed.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4])
    >>> to_nnx(config, init(jax.random.key(0), config))[0].dense_i.kernel.shape
    (6, 16)
    """
    nnx = needs.module("flax.nnx")
    report = Report() if report is None else report
    flax.require_cells(config, params, "nnx's OptimizedLSTMCell", report, "dtype")
    made = []
    for layer, own, size in zip(config.layers, params.layers, config.input_sizes, strict=True):
        (side,) = sides_of(layer, own)
        cell = nnx.OptimizedLSTMCell(
            size,
            layer.hidden_size,
            gate_fn=flax.function(layer.recurrent_activation),
            activation_fn=flax.function(layer.activation),
            param_dtype=jnp.dtype(config.param_dtype),
            dtype=jnp.dtype(config.dtype),
            # JAX cannot draw the default, an orthogonal matrix, in bfloat16.
            recurrent_kernel_init=jax.nn.initializers.zeros,
            rngs=nnx.Rngs(0),
        )
        for variable, array in (
            (cell.dense_i.kernel, join(side.w_x)),
            (cell.dense_h.kernel, join(side.w_h)),
            (cell.dense_h.bias, join(bias_of(side))),
        ):
            variable[...] = jnp.asarray(array, config.param_dtype)
        made.append(cell)
    return made


def _layer(nnx: Any, own: Any, report: Report) -> tuple[list[Side], Layer]:
    """The directions and the options of a cell, an RNN or a Bidirectional."""
    options: dict[str, Any] = {}
    rnns: Sequence[Any] = [own]
    if isinstance(own, (nnx.Bidirectional, nnx.RNN)) and not own.time_major:
        report.add("the input is batch-major: pass time_major=False to apply")
    if isinstance(own, nnx.Bidirectional):
        needs.own_methods(own, nnx.Bidirectional, "__call__")
        rnns = [own.forward_rnn, own.backward_rnn]  # Bidirectional itself says which is reversed
        options["merge"] = _merge(nnx, own.merge_fn)
    elif isinstance(own, nnx.RNN) and own.reverse:
        if not own.keep_order:
            raise ValueError(
                "RNN has reverse=True without keep_order, so its outputs are in reversed order, "
                "which a network does not support; set keep_order=True and reverse the outputs "
                "yourself"
            )
        options["reverse"] = True
    for rnn in rnns:
        if isinstance(rnn, nnx.RNN):
            needs.own_methods(rnn, nnx.RNN, "__call__")
    cells = [rnn.cell if isinstance(rnn, nnx.RNN) else rnn for rnn in rnns]
    sides = [_side(nnx, cell) for cell in cells]
    if len(cells) == 2 and cells[0] is cells[1]:
        report.add("both directions share one cell; the network has a copy for each of them")
    names = {(flax.named(cell.activation_fn), flax.named(cell.gate_fn)) for cell in cells}
    if len(names) > 1:
        raise ValueError(
            f"the directions of a Bidirectional have different activations, {sorted(names)}; "
            "expected the same for both"
        )
    for cell in cells:
        if getattr(cell, "carry_init", None) not in (None, jax.nn.initializers.zeros):
            raise ValueError(
                "a cell has a custom carry_init, which a network does not support; set "
                "cell.carry_init = None, and pass the carry at each call"
            )
        if cell.dtype is not None and cell.dtype != cell.param_dtype:
            report.add(
                f"a cell computes in {jnp.dtype(cell.dtype)}; the network computes in "
                f"{jnp.dtype(cell.param_dtype)}, the dtype of the weights"
            )
    return sides, flax.layer_of(sides, *names.pop(), **options)


def _merge(nnx: Any, merge_fn: Any) -> str:
    """Our name for a function that merges two directions."""
    usual = inspect.signature(nnx.Bidirectional.__init__).parameters["merge_fn"].default
    known = {usual: "concat", operator.add: "sum", jnp.add: "sum"}
    known |= {operator.mul: "mul", jnp.multiply: "mul"}
    if merge_fn not in known:
        raise ValueError(
            f"Bidirectional has merge_fn={merge_fn}, which is not known; expected its default, "
            "jnp.add or jnp.multiply"
        )
    return known[merge_fn]


def _side(nnx: Any, cell: Any) -> Side:
    def array(variable: Any) -> np.ndarray:
        return np.asarray(variable[...])

    for kind in (nnx.OptimizedLSTMCell, nnx.LSTMCell):
        if isinstance(cell, kind):
            needs.own_methods(cell, kind, "__call__", "initialize_carry")
    if isinstance(cell, nnx.OptimizedLSTMCell):
        w_x, w_h = array(cell.dense_i.kernel), array(cell.dense_h.kernel)
        return Side(split(w_x), split(w_h), split(array(cell.dense_h.bias)))
    if not isinstance(cell, nnx.LSTMCell):
        raise TypeError(
            f"source is {type(cell).__name__}; expected nnx.LSTMCell or nnx.OptimizedLSTMCell, or "
            "an RNN or Bidirectional over one"
        )
    inputs = (cell.ii, cell.if_, cell.ig, cell.io)
    states = (cell.hi, cell.hf, cell.hg, cell.ho)
    return Side(
        Gates(*(array(dense.kernel) for dense in inputs)),
        Gates(*(array(dense.kernel) for dense in states)),
        Gates(*(array(dense.bias) for dense in states)),
    )
