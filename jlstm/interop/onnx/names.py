"""Activations: ONNX's names and constants, and ours."""

from collections.abc import Sequence
from typing import Any

# Our name, and ONNX's default constants alpha and beta.
_KNOWN: dict[str, tuple[str, tuple[float, ...]]] = {
    "Affine": ("affine", (1.0, 0.0)),
    "Elu": ("elu", (1.0,)),
    "HardSigmoid": ("hard_sigmoid", (0.2, 0.5)),
    "LeakyRelu": ("leaky_relu", (0.01,)),
    "Relu": ("relu", ()),
    "ScaledTanh": ("scaled_tanh", (1.0, 1.0)),
    "Sigmoid": ("sigmoid", ()),
    "Softplus": ("softplus", ()),
    "Softsign": ("softsign", ()),
    "Tanh": ("tanh", ()),
    "ThresholdedRelu": ("thresholded_relu", (1.0,)),
}
# Runtimes disagree on the default constants of these.
_UNSURE = ("Affine", "ScaledTanh", "ThresholdedRelu")
_OURS = {ours: (name, constants) for name, (ours, constants) in _KNOWN.items()}
# The constants of our names without constants, where they differ from ONNX's defaults.
_DEFAULTS = {"hard_sigmoid": (1 / 6, 0.5), "scaled_tanh": (1.7159, 2 / 3)}


def from_onnx(names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]) -> list[str]:
    """Our names. Activations take their constants from the front of `alphas` and `betas`."""
    known = {name.lower(): name for name in _KNOWN}
    alphas, betas, made = list(alphas), list(betas), []
    for name in names:
        if name.lower() not in known:
            raise ValueError(
                f"ONNX's activation {name!r} is not supported; supported are {sorted(_KNOWN)}"
            )
        ours, constants = _KNOWN[known[name.lower()]]
        lists = (alphas, betas)[: len(constants)]
        if known[name.lower()] in _UNSURE and not all(lists):
            raise ValueError(
                f"{name} lacks its {' and '.join(('alpha', 'beta')[: len(constants)])}, for which "
                "runtimes have different defaults; set activation_alpha and activation_beta"
            )
        taken = [of.pop(0) if of else default for of, default in zip(lists, constants, strict=True)]
        made.append(f"{ours}({', '.join(_text(a) for a in taken)})" if taken else ours)
    return made


def to_onnx(activations: Sequence[Any]) -> dict[str, Any]:
    """The attributes activations, activation_alpha and activation_beta of a node."""
    names: list[str] = []
    alphas: list[float] = []
    betas: list[float] = []
    for activation in activations:
        if callable(activation):
            raise ValueError(
                f"the activation {activation} is a function; ONNX needs an activation with a name"
            )
        ours, _, rest = activation.partition("(")
        if ours == "linear":
            ours, rest = "affine", "1, 0)"
        if ours not in _OURS:
            raise ValueError(f"ONNX does not have {activation!r}; choose one of {sorted(_OURS)}")
        name, constants = _OURS[ours]
        given = [float(part) for part in rest.rstrip(") ").split(",")] if rest else []
        given = given or list(_DEFAULTS.get(ours, constants))
        names.append(name)
        alphas += given[:1]
        betas += given[1:]
    made: dict[str, Any] = {"activations": names}
    # Empty lists have no type in ONNX.
    return made | {
        key: values
        for key, values in (("activation_alpha", alphas), ("activation_beta", betas))
        if values
    }


def _text(a: float) -> str:
    """The shortest text that parses to the same float32."""
    import numpy as np

    return str(np.float32(a))
