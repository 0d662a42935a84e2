"""PyTorch: nn.LSTM and nn.LSTMCell, their state dicts, and files of these."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.config import Config, Layer
from jlstm.interop import needs
from jlstm.interop.report import Report
from jlstm.interop.sides import join, network, require, sides_of
from jlstm.interop.torch import files, states
from jlstm.params import Params

if TYPE_CHECKING:
    import torch


def from_torch(
    source: "torch.nn.LSTM | torch.nn.LSTMCell | Mapping[str, torch.Tensor] | str | os.PathLike",
    *,
    prefix: str | None = None,
    report: Report | None = None,
) -> tuple[Config, Params]:
    """A network with the weights of torch's.

    torch keeps weights as [4H, I] and [4H, H] in the order i, f, g, o with two biases, which are
    summed; a projection as [P, H].

    Args:
      source: a torch.nn.LSTM or LSTMCell, a state dict that holds one, also within a mapping such
        as {"model": ...}, or a file that `torch.save` wrote one to. It is read with
        weights_only=True, so that no code in it runs.
      prefix: where a state dict holds several, what their names begin with: "encoder.".
      report: what was done is added to it.

    Returns:
      config and params. batch_first is not part of a network here: pass time_major=False to
      `apply`. torch's dropout follows a layer and ours comes before one, so that it moves up.

    Raises:
      TypeError: source is none of these, or of a class with a forward of its own.
      ValueError: nothing in `source` is an LSTM, several are, weights are missing or are kept in
        another form (weight norm), or arrays do not fit each other.
      ImportError: torch is not installed.

    >>> import torch
    >>> config, params = from_torch(torch.nn.LSTM(6, 4, num_layers=2, bidirectional=True))
    >>> [layer.w_x.shape for layer in params.layers]
    [(2, 6, 16), (2, 8, 16)]
    """
    torch: Any = needs.module("torch")
    report = Report() if report is None else report
    dropout = 0.0
    state: Any = source
    if isinstance(source, (str, os.PathLike)):
        state = files.read(source)
    elif isinstance(source, (torch.nn.LSTM, torch.nn.LSTMCell)):
        _require_plain(torch, source)
        dropout = getattr(source, "dropout", 0.0)
        if getattr(source, "batch_first", False):
            report.add("batch_first=True: pass time_major=False to apply")
        state = source.state_dict()  # type: ignore[union-attr]
    if not isinstance(state, Mapping):
        raise TypeError(
            f"source is {type(state).__name__}; expected a torch.nn.LSTM or LSTMCell, its state "
            "dict, or a file of one"
        )
    state = dict(states.flat(state))
    prefix = states.prefix_of(state, prefix)
    arrays = states.arrays_of(state, prefix)
    if isinstance(source, (str, os.PathLike)):
        files.require_room(source, arrays.values())
    sides = states.sides_of(arrays, prefix)
    both = len(sides[0]) == 2
    if sides[0][0].b is not None:
        report.add("torch's two biases were summed")
    layers = [
        Layer(
            own[0].w_x.i.shape[-1],
            projection_size=None if own[0].projection is None else own[0].projection.shape[-1],
            bidirectional=both,
            bias=own[0].b is not None,
            forget_bias=0.0,
            dropout=dropout if n else 0.0,
        )
        for n, own in enumerate(sides)
    ]
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report)


def to_torch(
    config: Config, params: Params, *, batch_first: bool = False, report: Report | None = None
) -> "torch.nn.LSTM":
    """torch's LSTM with these weights; of its two biases the second is zero.

    Args:
      config: the network.
      params: its parameters.
      batch_first: how the module takes sequences.
      report: what was done is added to it.

    Raises:
      TypeError, ValueError: params do not fit config, an option that torch lacks, or layers that
        differ in more than their inputs.
      ImportError: torch is not installed.

    >>> import jax
    >>> from jlstm import init
    >>> config = Config.stack(6, [4, 4])
    >>> to_torch(config, init(jax.random.key(0), config))
    LSTM(6, 4, num_layers=2)
    """
    torch = needs.module("torch")
    report = Report() if report is None else report
    can = ("bidirectional", "projection_size", "bias", "dropout")
    require(config, params, "torch", can, report)
    first, last = config.layers[0], config.layers[-1]
    for n, layer in enumerate(config.layers[1:], 1):
        for name in ("hidden_size", "projection_size", "bidirectional", "bias"):
            if getattr(layer, name) != getattr(first, name):
                raise ValueError(
                    f"torch.nn.LSTM has one {name}, but layer 0 has {getattr(first, name)!r} and "
                    f"layer {n} {getattr(layer, name)!r}; convert each layer as a network of its "
                    "own: to_torch(Config(size, (layer,)), Params((params,)))"
                )
        if layer.dropout != last.dropout:
            raise ValueError(f"torch has one dropout, but layers differ ({layer.dropout:g})")
    if first.dropout:
        report.add(f"layer 0: dropout={first.dropout:g} of the input was left out; torch has none")
    module = torch.nn.LSTM(
        config.input_size,
        first.hidden_size,
        len(config.layers),
        bias=first.bias,
        batch_first=batch_first,
        dropout=last.dropout if len(config.layers) > 1 else 0.0,
        bidirectional=first.bidirectional,
        proj_size=first.projection_size or 0,
        dtype=getattr(torch, config.param_dtype),
        device="meta",
    )
    state = {}
    for n, (layer, own) in enumerate(zip(config.layers, params.layers, strict=True)):
        for side, end in zip(sides_of(layer, own), ("", "_reverse"), strict=False):
            state[f"weight_ih_l{n}{end}"] = join(side.w_x).T
            state[f"weight_hh_l{n}{end}"] = join(side.w_h).T
            if side.b is not None:
                state[f"bias_ih_l{n}{end}"] = b = join(side.b)
                state[f"bias_hh_l{n}{end}"] = np.zeros_like(b)
            if side.projection is not None:
                state[f"weight_hr_l{n}{end}"] = side.projection.T
    module.load_state_dict({k: _tensor(torch, a) for k, a in state.items()}, assign=True)
    module.flatten_parameters()
    return module


def _require_plain(torch: Any, module: Any) -> None:
    """TypeError where the class of a module computes in a way of its own."""
    kind = torch.nn.LSTM if isinstance(module, torch.nn.LSTM) else torch.nn.LSTMCell
    if type(module).forward is not kind.forward:
        raise TypeError(
            f"{type(module).__name__} has a forward of its own, which need not be "
            f"torch.nn.{kind.__name__}'s; pass its state_dict() if only the weights count"
        )


def _tensor(torch: Any, array: np.ndarray) -> Any:
    array = np.ascontiguousarray(array)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy() if not array.flags.writeable else array)
