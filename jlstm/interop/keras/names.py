"""Keras's names for our activations and merges."""

from typing import Any

# Names with the same meaning. Keras's leaky_relu has a different slope from ours.
_SAME = (
    *("elu", "exponential", "gelu", "hard_sigmoid", "linear", "relu", "selu", "sigmoid", "silu"),
    *("softplus", "softsign", "tanh"),
)
ACTIVATIONS = {name: name for name in _SAME} | {"leaky_relu": "leaky_relu(0.2)", "swish": "silu"}
_OURS = {ours: name for name, ours in ACTIVATIONS.items() if name != "swish"}
OF_KERAS_2 = {"hard_sigmoid": "hard_sigmoid(0.2, 0.5)"}  # names that mean something else in Keras 3
PACKAGES = ("keras", "tf_keras")  # the second is Keras 2
MERGES = {"concat": "concat", "sum": "sum", "mul": "mul", "ave": "average", None: "none"}


def theirs(name: Any) -> str:
    """Keras's name for one of our activations; ValueError if it has none."""
    if callable(name):
        raise ValueError(
            f"the activation {name} is a function; Keras needs an activation with a name"
        )
    if name not in _OURS:
        raise ValueError(f"Keras has no activation {name!r}; choose one of {sorted(_OURS)}")
    return _OURS[name]


def ours(name: str) -> str:
    """Our name for one of Keras's activations; ValueError if we have none."""
    if name in OF_KERAS_2.values():
        return name
    if name not in ACTIVATIONS:
        raise ValueError(
            f"Keras's activation {name!r} is not supported; supported are {sorted(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]
