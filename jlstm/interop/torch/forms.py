"""The weight that a module uses, where its state dict holds another form of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from jlstm.interop import needs
from jlstm.interop.report import Report
from jlstm.interop.torch.names import Forms

_NORM = ({"_g", "_v"}, {".original0", ".original1"})
_PRUNED = {"_orig", "_mask"}


def sources(weight: str, forms: Forms) -> list[str]:
    """The names of the tensors from which `value` computes a weight.

    Raises:
      ValueError: the form is not known. The message says how to remove it.
    """
    kinds = set(forms)
    if "_raw" in kinds and kinds <= {"", "_raw"}:
        return [forms["_raw"]]
    if kinds == {""} or kinds == _PRUNED or kinds in _NORM:
        return [forms[kind] for kind in sorted(kinds)]
    raise _refusal(weight, ", ".join(sorted(forms.values())[:4]), kinds)


def require_weight_norm(weight: str, parametrizations: Sequence[Any]) -> None:
    """ValueError if a module's parametrizations of a weight are not weight norm alone.

    Other ones can have the same names in a state dict.
    """
    kinds = [type(own) for own in parametrizations]
    known = ("torch.nn.utils.parametrizations", "_WeightNorm")
    if [(kind.__module__, kind.__name__) for kind in kinds] != [known]:
        raise _refusal(weight, ", ".join(kind.__name__ for kind in kinds), {".0."})


def normed(weights: Mapping[str, Forms]) -> list[str]:
    """The weights that the names of their tensors say to be under weight norm."""
    return [weight for weight, own in weights.items() if set(own) in _NORM]


def value(weight: str, forms: Forms, tensors: Sequence[Any], report: Report) -> Any:
    """The tensor of a weight. `tensors` are those that `sources` names.

    Raises:
      ValueError: the tensors' shapes do not fit each other.
    """
    kinds, names = set(forms), sources(weight, forms)
    if "_raw" in kinds:
        report.add(f"{names[0]}, the weight that weight dropout trains, was read as {weight}")
        if "" in kinds:
            report.add(f"{forms['']}, a copy that weight dropout makes of it, was left out")
        return tensors[0]
    if kinds == _PRUNED:
        mask, original = tensors
        if mask.shape != original.shape:
            raise ValueError(
                f"{names[0]} has shape {list(mask.shape)}; expected that of {names[1]}, "
                f"{list(original.shape)}"
            )
        report.add(f"{weight} was pruned: the product of {names[1]} and {names[0]}")
        return mask.to(original.dtype) * original
    if kinds in _NORM:
        made = _weight_norm(names, *tensors)
        report.add(f"{weight} was computed from its weight norm: {names[0]} and {names[1]}")
        return made
    return tensors[0]


def _weight_norm(names: Sequence[str], g: Any, v: Any) -> Any:
    """g * v / ||v||, with one norm per index of g, as torch.nn.utils.weight_norm."""
    torch = needs.module("torch")
    shapes = [[1] * v.ndim for _ in range(v.ndim)]  # of g for each dim
    for dim, shape in enumerate(shapes):
        shape[dim] = v.shape[dim]
    if list(g.shape) not in ([], *shapes) or v.numel() == 0:
        raise ValueError(
            f"{names[0]} has shape {list(g.shape)}; expected one norm, or one per row or column of "
            f"{names[1]}, which has shape {list(v.shape)}"
        )
    dtype = torch.float32 if v.dtype in (torch.float16, torch.bfloat16) else v.dtype
    g, wide = g.to(dtype), v.to(dtype)
    axes = [n for n in range(v.ndim) if g.ndim == 0 or g.shape[n] == 1]
    norm = torch.linalg.vector_norm(wide, dim=axes, keepdim=g.ndim > 0) if axes else wide.abs()
    return (wide * (g / norm)).to(v.dtype)


def _refusal(weight: str, what: str, kinds: set[str]) -> ValueError:
    return ValueError(
        f"{what}: {weight} is stored in another form, which is not converted. In the module that "
        f"has this state dict, call {_removal(weight, kinds)}; then convert the module or its "
        "state_dict()"
    )


def _removal(weight: str, kinds: set[str]) -> str:
    """The call that replaces a form by the plain weight."""
    if any(kind.startswith(".") for kind in kinds):
        call = f'parametrize.remove_parametrizations(module, "{weight}")'
        return f"module.eval() and torch.nn.utils.{call}"
    if kinds & {"_g", "_v"} and not kinds - {"_g", "_v", ""}:
        return f'torch.nn.utils.remove_weight_norm(module, "{weight}")'
    if kinds <= {"", "_u", "_v", "_orig"}:
        return f'torch.nn.utils.remove_spectral_norm(module, "{weight}")'
    if kinds <= {"", "_orig", "_mask"}:
        return f'torch.nn.utils.prune.remove(module, "{weight}")'
    return (
        f'torch.nn.utils.remove_weight_norm, remove_spectral_norm or prune.remove with "{weight}"'
    )
