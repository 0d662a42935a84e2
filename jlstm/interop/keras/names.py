"""What Keras calls our activations and merges."""

from typing import Any

# Keras's names; its leaky_relu has another slope than ours.
_SAME = (
    *("elu", "exponential", "gelu", "hard_sigmoid", "linear", "relu", "selu", "sigmoid", "silu"),
    *("softplus", "softsign", "tanh"),
)
ACTIVATIONS = {name: name for name in _SAME} | {"leaky_relu": "leaky_relu(0.2)", "swish": "silu"}
_OURS = {ours: name for name, ours in ACTIVATIONS.items() if name != "swish"}
OF_KERAS_2 = {"hard_sigmoid": "hard_sigmoid(0.2, 0.5)"}  # what it calls otherwise than Keras 3
MERGES = {"concat": "concat", "sum": "sum", "mul": "mul", "ave": "average", None: "none"}


def theirs(name: Any) -> str:
    """What Keras calls one of our activations; ValueError where it has none."""
    if callable(name):
        raise ValueError(f"the activation {name} is a function; Keras is given names alone")
    if name not in _OURS:
        raise ValueError(f"Keras has no activation {name!r}; it has {sorted(_OURS)}")
    return _OURS[name]


def ours(name: str) -> str:
    """What we call one of Keras's activations; ValueError where we have none."""
    if name in OF_KERAS_2.values():
        return name
    if name not in ACTIVATIONS:
        raise ValueError(
            f"Keras's activation {name!r} has no counterpart here; known are {sorted(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]
