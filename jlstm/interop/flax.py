"""Code shared by the conversions of linen and nnx cells."""

from collections.abc import Sequence
from typing import Any

import jax

from jlstm import activations
from jlstm.config import Config, Layer
from jlstm.interop.report import Report
from jlstm.interop.sides import Side, require, require_one_activation
from jlstm.params import Params

ACTIVATIONS = ("activation", "cell_activation", "recurrent_activation")
# Functions of jax.nn that compute what our names mean, though they are other objects than our
# functions. gelu is missing: its default in jax.nn differs from ours.
_FUNCTIONS = {name: name for name in ("elu", "hard_sigmoid", "leaky_relu")}
_FUNCTIONS["linear"] = "identity"


def layer_of(sides: Sequence[Side], activation: str, recurrent: str, **options: Any) -> Layer:
    """The layer of one cell, or of a forward and a backward cell.

    A cell uses the same activation for the candidate and for the output.
    """
    units = sides[0].w_x.i.shape[-1]
    both = {"bidirectional": len(sides) == 2, "forget_bias": 0.0, **options}
    own = dict(zip(ACTIVATIONS, (activation, activation, recurrent), strict=True))
    return Layer(units, **both, **own)


def require_cells(config: Config, params: Params, name: str, report: Report, *can: str) -> None:
    """TypeError or ValueError for options that `name`, a Flax cell, does not support."""
    require(config, params, name, ("bias", *ACTIVATIONS, *can), report)
    require_one_activation(config, name)


def function(name: Any) -> Any:
    """The function of an activation, that of jax.nn if there is one. `named` recognises it."""
    return getattr(jax.nn, _FUNCTIONS[name]) if name in _FUNCTIONS else activations.function(name)


def named(own: Any) -> str:
    """Our name for a function of jax.nn, or for one that `function` returns.

    Raises:
      ValueError: the function has no name here.
    """
    for name, theirs in _FUNCTIONS.items():
        if own is getattr(jax.nn, theirs):
            return name
    name = activations.name_of(own)
    if name is None:
        raise ValueError(
            f"the activation {own} is not known; expected a function of jax.nn with one of these "
            f"names, or jlstm.activations.function(name): {', '.join(activations.NAMES)}. For gelu "
            'it is the latter, jlstm.activations.function("gelu")'
        )
    return name
