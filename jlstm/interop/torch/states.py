"""Reads the weights of an LSTM from a state dict of torch."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jlstm.interop import needs
from jlstm.interop.report import Report
from jlstm.interop.sides import Gates, Side, split
from jlstm.interop.torch import forms, names
from jlstm.interop.torch.names import Forms
from jlstm.interop.torch.objects import Skipped


def tensors_of(
    state: Mapping[str, Any], prefix: str, weights: Mapping[str, Forms]
) -> dict[str, list[Any]]:
    """The tensors of each weight of the LSTM with that prefix, as `forms.value` takes them.

    Raises:
      TypeError, ValueError: a weight is not one of a plain LSTM, or is not a dense tensor.
    """
    cell = "weight_ih" in weights
    plain = r"(weight_(ih|hh|hr)|bias_(ih|hh))" + ("" if cell else r"_l\d{1,4}(_reverse)?")
    odd = [own for weight, own in weights.items() if not re.fullmatch(plain, weight)]
    other = [name for own in odd for name in own.values()]
    if other := sorted([*other, *names.others(state, prefix, weights)]):
        raise ValueError(
            f"{', '.join(other[:4])}: not weights of a plain torch.nn.LSTM{'Cell' if cell else ''}"
            "; expected names like weight_hh_l0, those of weight norm, pruning and weight dropout, "
            "and nothing else that begins with weight or bias: remove or rename these"
        )
    return {
        weight: [_dense(name, state[name]) for name in forms.sources(weight, own)]
        for weight, own in weights.items()
    }


def left_out(state: Mapping[str, Any], read: Sequence[Mapping[str, Forms]]) -> list[str]:
    """The names of the tensors in a state dict that are none of the LSTMs `read` from it."""
    torch = needs.module("torch")
    known = {name for weights in read for own in weights.values() for name in own.values()}
    return [name for name, a in state.items() if isinstance(a, torch.Tensor) and name not in known]


def arrays_of(
    tensors: Mapping[str, Sequence[Any]], weights: Mapping[str, Forms], report: Report
) -> dict[str, np.ndarray]:
    """The weights of an LSTM by name, from the result of `tensors_of`."""
    return {
        weight: _array(forms.value(weight, weights[weight], own, report))
        for weight, own in tensors.items()
    }


def sides_of(arrays: Mapping[str, np.ndarray], prefix: str) -> list[list[Side]]:
    """The sides of each layer. All or none have a bias, and all or none a projection."""
    kinds = ["weight_ih", "weight_hh"]
    kinds += ["bias_ih", "bias_hh"] if any(name.startswith("bias") for name in arrays) else []
    kinds += ["weight_hr"] if any(name.startswith("weight_hr") for name in arrays) else []
    ways = ["", "_reverse"] if any(name.endswith("_reverse") for name in arrays) else [""]
    numbers = [int(m[1]) for name in arrays if (m := re.search(r"_l(\d+)", name))]
    layers = [[f"_l{n}{way}" for way in ways] for n in range(max(numbers, default=-1) + 1)]

    def side(end: str) -> Side:
        for kind in kinds:
            if f"{kind}{end}" not in arrays:
                raise ValueError(
                    f"{prefix}{kind}{end} is missing; expected the same weights and biases in "
                    "all layers and directions of torch.nn.LSTM, numbered from 0; under weight "
                    "dropout, pass the state dict of the module around the LSTM"
                )
        return _side(arrays, prefix, end)

    return [[side(end) for end in ends] for ends in layers or [[""]]]


def _side(arrays: Mapping[str, np.ndarray], prefix: str, end: str) -> Side:
    def matrix(name: str) -> np.ndarray:
        found = arrays[name]
        if found.ndim != 2:
            raise ValueError(
                f"{prefix}{name} has shape {list(found.shape)}; expected a matrix of torch.nn.LSTM"
            )
        return found.T

    def gates(name: str) -> Gates:
        w = matrix(name)
        for kind, count in (("GRU", 3), ("plain RNN", 1)):
            if name.startswith("weight_hh") and w.shape[1] == count * w.shape[0]:
                raise ValueError(f"{prefix}{name} is {list(w.T.shape)}: a {kind}'s, not an LSTM's")
        return split(w)

    w_h, w_x = gates(f"weight_hh{end}"), gates(f"weight_ih{end}")
    biases = [arrays[name] for name in (f"bias_ih{end}", f"bias_hh{end}") if name in arrays]
    if any(b.shape != biases[0].shape for b in biases):
        raise ValueError(
            f"the two biases of {prefix}*{end} have shapes {[list(b.shape) for b in biases]}; "
            "expected one shape"
        )
    b = split(biases[0] + biases[1]) if biases else None
    return Side(w_x, w_h, b, None, matrix(name) if (name := f"weight_hr{end}") in arrays else None)


def _dense(name: str, value: Any) -> Any:
    torch = needs.module("torch")
    if isinstance(value, Skipped):
        raise ValueError(
            f"{name} is stored by {value.name}; expected a dense tensor that holds its values"
        )
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} is {type(value).__name__}; expected a torch.Tensor")
    if value.is_meta or value.is_quantized or value.layout != torch.strided:
        raise ValueError(
            f"{name} has no dense values ({value.layout}, {value.device}); "
            "expected a dense tensor that holds its values"
        )
    known = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
    mask = name.endswith("_mask") and not value.is_complex()  # may also hold booleans
    if value.dtype not in known and not mask:
        raise ValueError(
            f"{name} has the dtype {value.dtype}; expected float32, bfloat16, float16 or float64"
        )
    return value.detach().cpu()


def _array(value: Any) -> np.ndarray:
    torch = needs.module("torch")
    if value.dtype == torch.bfloat16:
        import ml_dtypes

        return value.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return value.numpy()
