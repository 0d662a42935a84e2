"""Conversion from and to nn.LSTM and nn.LSTMCell of PyTorch, and their state dicts."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm import validation
from jlstm.config import Config, Layer
from jlstm.interop import needs, sources
from jlstm.interop.report import Report
from jlstm.interop.sides import Side, join, network, require, sides_of
from jlstm.interop.torch import files, forms, modules, names, states, tensor_files
from jlstm.params import Params

if TYPE_CHECKING:
    import torch


@sources.in_words
def from_torch(
    source: "torch.nn.LSTM | torch.nn.LSTMCell | Mapping[str, torch.Tensor] | str | os.PathLike",
    *,
    prefix: str | Sequence[str] | None = None,
    report: Report | None = None,
) -> tuple[Config, Params]:
    """Converts the weights of a torch LSTM.

    torch stores weights as [4H, I] and [4H, H] in the gate order i, f, g, o, and a projection as
    [P, H]. It has two biases, which are summed. Weights under weight norm and pruning are computed.
    A state dict does not tell weight norm from other parametrizations of two tensors of its shapes:
    it is read as weight norm, and the report says so. A module is checked. Under weight dropout
    (AWD-LSTM), the weight that is trained is read: weight_hh_l0_raw.

    Args:
      source: a torch.nn.LSTM or LSTMCell; a state dict that contains one, possibly nested in a
        mapping such as {"model": ...}; or a file of a state dict: .safetensors, or one that
        `torch.save` wrote. No code in files runs.
      prefix: prefix of the LSTM's names in the state dict, such as "encoder.". It is needed only if
        the state dict contains several LSTMs. A list of prefixes, lowest layer first, forms one
        stack, as of the LSTMs or LSTMCells in a ModuleList: ["rnns.0", "rnns.1"].
      report: receives lines that say what the conversion did.

    Returns:
      config and params, in the dtype of the weights (float16 becomes float32). For batch_first=True
      pass time_major=False to `apply`; a network does not store it. torch applies dropout after a
      layer, jlstm before one, so the dropout moves to the layer above.

    Raises:
      TypeError: source is none of these, or a module that computes something else, by hooks or by
        a forward of its own; or prefix is not text.
      ValueError: `source` has no LSTM, or several and no `prefix`; weights are missing or under
        another parametrization, such as spectral norm; or arrays do not fit each other.
      ImportError: torch is not installed.

    >>> import torch
    >>> config, params = from_torch(torch.nn.LSTM(6, 4, num_layers=2, bidirectional=True))
    >>> [layer.w_x.shape for layer in params.layers]
    [(2, 6, 16), (2, 8, 16)]
    """
    torch: Any = needs.module("torch")
    report = Report() if report is None else report
    dropout, checked = 0.0, False
    state: Any = source
    if isinstance(source, (str, os.PathLike)):
        named = str(source).lower().endswith(".safetensors")
        state = tensor_files.read(source) if named else files.read(source)
    elif isinstance(source, (torch.nn.LSTM, torch.nn.LSTMCell)):
        modules.require_plain(torch, source)
        checked = True
        dropout = getattr(source, "dropout", 0.0)
        if getattr(source, "batch_first", False):
            report.add("batch_first=True: pass time_major=False to apply")
        state = source.state_dict()  # type: ignore[union-attr]
    if not isinstance(source, torch.nn.Module):
        report.add(
            "weights do not say whether the model is batch_first; if it is, pass time_major=False "
            "to apply"
        )
    if not isinstance(state, Mapping):
        hint = "; pass its state_dict()" if isinstance(state, torch.nn.Module) else ""
        raise TypeError(
            f"source is {type(state).__name__}; expected a torch.nn.LSTM or LSTMCell, a state "
            f"dict, or a file of a state dict{hint}"
        )
    state = names.flat(state)
    found = names.lstms(state)
    prefixes = names.prefixes_of(state, found, prefix)
    tensors = [states.tensors_of(state, own, found[own]) for own in prefixes]
    if isinstance(source, (str, os.PathLike)):
        files.require_room(source, (t for own in tensors for some in own.values() for t in some))
    layers, sides, labels = [], [], []
    for own, held in zip(prefixes, tensors, strict=True):
        arrays = states.arrays_of(held, found[own], report)
        if not checked and (normed := forms.normed(found[own])):
            report.add(
                f"{validation.some([own + name for name in normed])}: read as under weight norm, "
                "going by names and shapes; another parametrization can have the same ones. A "
                "module, in place of its state dict, is checked"
            )
        below = len(sides)
        sides += states.sides_of(arrays, own)
        labels += [f"layer {n} of {own!r}" for n in range(len(sides) - below)]
        layers += [_layer(side, dropout if n else 0.0) for n, side in enumerate(sides[below:])]
    if left := states.left_out(state, [found[own] for own in prefixes]):
        report.add(f"left out, as no weights of the converted LSTM: {validation.some(left)}")
    if any(own[0].b is not None for own in sides):
        report.add("torch's two biases were summed")
    if len(prefixes) == 1:
        labels = []
    else:
        report.add(
            f"the {len(prefixes)} LSTMs {', '.join(own.rstrip('.') for own in prefixes)} were "
            "stacked, lowest first, without what the module computes between them, such as dropout"
        )
    return network(sides[0][0].w_x.i.shape[0], layers, sides, report, labels)


def to_torch(
    config: Config, params: Params, *, batch_first: bool = False, report: Report | None = None
) -> "torch.nn.LSTM":
    """A torch.nn.LSTM with these weights. The second of its two biases is zero.

    Args:
      config: the network.
      params: its parameters.
      batch_first: whether the module takes sequences as [B, T, I] instead of [T, B, I].
      report: receives lines that say what the conversion did.

    Returns:
      The module, in config.param_dtype. Its arguments and outputs have the shapes of torch.nn.LSTM.

    Raises:
      TypeError, ValueError: params do not fit config, torch does not support an option, or layers
        differ in more than their input size.
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
                    f"layer {n} {getattr(layer, name)!r}; convert each layer as a separate "
                    "network: to_torch(Config(size, (layer,)), Params((params,)))"
                )
        if layer.dropout != last.dropout:
            raise ValueError(
                f"torch has one dropout for all layers, but they differ ({layer.dropout:g})"
            )
    if first.dropout:
        report.add(f"layer 0: dropout={first.dropout:g} was left out: torch has none on the input")
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


def _layer(own: Sequence[Side], dropout: float) -> Layer:
    """The layer of the sides of one or both directions."""
    first = own[0]
    return Layer(
        first.w_x.i.shape[-1],
        projection_size=None if first.projection is None else first.projection.shape[-1],
        bidirectional=len(own) == 2,
        bias=first.b is not None,
        forget_bias=0.0,
        dropout=dropout,
    )


def _tensor(torch: Any, array: np.ndarray) -> Any:
    array = np.ascontiguousarray(array)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy() if not array.flags.writeable else array)
