"""This library."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from jlstm.config import Config
from jlstm.network import apply
from jlstm.params import Params


def forward(config: Config, params: Params) -> tuple[Any, Callable[[Any, jax.Array], jax.Array]]:
    """The stack through `apply`."""
    run = functools.partial(apply, config)
    return params, lambda weights, xs: run(weights, None, xs)[1]
