"""Finds an LSTM in a state dict of torch, and reads its weights."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jlstm.interop import needs
from jlstm.interop.sides import Gates, Side, split

_DEEPEST = 4  # levels of nested mappings that are searched
# The first name of an LSTM, also under weight norm, pruning and other parametrizations.
_WEIGHT = re.compile(
    r"(?P<prefix>.*?)(?:parametrizations\.)?weight_ih(?:_l\d{1,4})?(?:_reverse)?"
    r"(?:_g|_v|_u|_orig|_mask|\.original\d*)?"
)
_OWN = re.compile(r"(weight|bias)(_|$)|parametrizations\.")


def flat(state: Mapping[Any, Any], above: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The named values of nested mappings: {"model": {"a.b": ...}} has the name "model.a.b"."""
    for name, value in state.items():
        if not isinstance(name, str):
            continue
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from flat(value, f"{above}{name}.", depth + 1)
        else:
            yield f"{above}{name}", value


def prefix_of(state: Mapping[str, Any], prefix: str | None) -> str:
    """The prefix of the names of the LSTM in a state dict."""
    names = list(state)
    found = {m["prefix"] for name in names if (m := _WEIGHT.fullmatch(name))}
    if prefix is not None and prefix not in found and f"{prefix}." in found:
        return f"{prefix}."
    if prefix is not None and prefix not in found:
        raise ValueError(
            f"no LSTM has the prefix {prefix!r}; the prefixes are {sorted(found) or 'none'}"
        )
    if prefix is None and len(found) != 1:
        hint = f"several LSTMs; choose one by its prefix=, one of {sorted(found)}"
        nothing = f"no LSTM (names like weight_ih_l0) among {sorted(names)[:8]}"
        raise ValueError(f"the state dict holds {hint if found else nothing}")
    return found.pop() if prefix is None else prefix


def arrays_of(state: Mapping[str, Any], prefix: str) -> dict[str, np.ndarray]:
    """The weights of the LSTM with that prefix, by name without the prefix.

    Raises:
      TypeError, ValueError: a weight is not one of a plain LSTM, or is not a dense tensor.
    """
    own = {name.removeprefix(prefix): name for name in state if name.startswith(prefix)}
    names = [name for name in own if _OWN.match(name)]
    plain = r"(weight_(ih|hh|hr)|bias_(ih|hh))"
    cell = "weight_ih" in names
    plain += "" if cell else r"_l\d{1,4}(_reverse)?"
    other = [own[name] for name in names if not re.fullmatch(plain, name)]
    if other:
        raise ValueError(
            f"{', '.join(sorted(other)[:4])}: not weights of a plain "
            f"torch.nn.LSTM{'Cell' if cell else ''}; if they come from weight norm, spectral norm, "
            "pruning or another parametrization, remove it first: "
            "torch.nn.utils.parametrize.remove_parametrizations(module, name)"
        )
    return {name: _array(own[name], state[own[name]]) for name in names}


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
                    "all layers and directions of torch.nn.LSTM, numbered from 0"
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


def _array(name: str, value: Any) -> np.ndarray:
    torch = needs.module("torch")
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} is {type(value).__name__}; expected a torch.Tensor")
    if value.is_meta or value.is_quantized or value.layout != torch.strided:
        raise ValueError(
            f"{name} has no dense values ({value.layout}, {value.device}); "
            "expected a dense tensor that holds its values"
        )
    value = value.detach().cpu()
    if value.dtype == torch.bfloat16:
        import ml_dtypes

        return value.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return value.numpy()
