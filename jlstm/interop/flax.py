"""What the cells of linen and of nnx have in common."""

from collections.abc import Sequence
from typing import Any

import jax

from jlstm import activations
from jlstm.config import Config, Layer
from jlstm.interop.report import Report
from jlstm.interop.sides import Side, require, require_one_activation
from jlstm.params import Params

ACTIVATIONS = ("activation", "cell_activation", "recurrent_activation")
# Functions of jax.nn that have our names; its gelu is another unless told otherwise.
_FUNCTIONS = ("sigmoid", "tanh", "relu", "elu", "selu", "silu", "softplus", "hard_sigmoid")


def layer_of(sides: Sequence[Side], activation: str, recurrent: str, **options: Any) -> Layer:
    """The layer of one cell, or of one a direction; both of a cell's activations are the same."""
    units = sides[0].w_x.i.shape[-1]
    both = {"bidirectional": len(sides) == 2, "forget_bias": 0.0, **options}
    own = dict(zip(ACTIVATIONS, (activation, activation, recurrent), strict=True))
    return Layer(units, **both, **own)


def require_cells(config: Config, params: Params, name: str, report: Report, *can: str) -> None:
    """TypeError or ValueError for what `name`, a cell of Flax's, has no room for."""
    require(config, params, name, ("bias", *ACTIVATIONS, *can), report)
    require_one_activation(config, name)


def function(name: Any) -> Any:
    """JAX's own function where it has one of our name, so that `named` knows it again."""
    return getattr(jax.nn, name) if name in _FUNCTIONS else activations.function(name)


def named(own: Any) -> str:
    """Our name of one of JAX's functions.

    Raises:
      ValueError: it is none of those.
    """
    for name in _FUNCTIONS:
        if own is getattr(jax.nn, name):
            return name
    raise ValueError(
        f"the activation {own} has no name here; known are those of jax.nn: {_FUNCTIONS}"
    )
