"""Tells whether a torch module computes what its class computes."""

from typing import Any

from jlstm.interop.torch import forms

# What runs when a module is called.
_CALLED = ("__call__", "_wrapped_call_impl", "_call_impl", "forward")
# The hooks by which torch computes a weight, of which a state dict has the form; see `forms`.
_OF_WEIGHTS = {
    ("torch.nn.utils.weight_norm", "WeightNorm"),
    ("torch.nn.utils.spectral_norm", "SpectralNorm"),
    ("torch.nn.utils.prune", "BasePruningMethod"),
}


def require_plain(torch: Any, module: Any) -> None:
    """Checks that an LSTM or LSTMCell computes its outputs from its weights as its class does.

    Raises:
      TypeError: its class or the module itself replaces forward, or it has hooks.
      ValueError: a weight is under another parametrization than weight norm.
    """
    kind = torch.nn.LSTM if isinstance(module, torch.nn.LSTM) else torch.nn.LSTMCell
    own = type(module).__name__
    changes = [
        f"{own} overrides {name}"
        for name in _CALLED
        if getattr(type(module), name) is not getattr(kind, name)
    ]
    changes += [f"this {own} has {name} replaced" for name in _CALLED if name in vars(module)]
    hooks = [hook for hook in module._forward_pre_hooks.values() if not _is_of_weights(hook)]
    changes += [f"this {own} has a forward pre-hook, {_name(hook)}" for hook in hooks]
    hooks = module._forward_hooks.values()
    changes += [f"this {own} has a forward hook, {_name(hook)}" for hook in hooks]
    if changes:
        raise TypeError(
            f"{changes[0]}, so it may compute something else than torch.nn.{kind.__name__}; pass "
            "its state_dict() to convert the weights anyway"
        )
    for weight, parametrizations in getattr(module, "parametrizations", {}).items():
        forms.require_weight_norm(weight, parametrizations)


def _is_of_weights(hook: Any) -> bool:
    return any((base.__module__, base.__name__) in _OF_WEIGHTS for base in type(hook).__mro__)


def _name(hook: Any) -> str:
    return str(getattr(hook, "__qualname__", type(hook).__name__))
