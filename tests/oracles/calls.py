"""Calls of one layer with random distinct weights, and how frameworks lay gates out."""

import jax
import numpy as np

from jlstm import Config
from tests.networks import make_call

T, B, INPUTS, H = 7, 3, 5, 4
LENGTHS = {"lengths": np.array([7, 4, 1], "int32")}


def call_of(layer, times=None, size=INPUTS, steps=T, batch=B):
    """A call with distinct weights, halved so that gates do not saturate."""
    call = make_call(Config(size, (layer,)), steps, (batch,), 0)
    return call._replace(params=jax.tree.map(lambda a: a / 2, call.params), times=dict(times or {}))


def permuted(a, order, axis=-1):
    """Blocks of the gates i, f, g, o in another order."""
    blocks = dict(zip("ifgo", np.split(np.asarray(a), 4, axis), strict=True))
    return np.concatenate([blocks[gate] for gate in order], axis)


def sides(tree, layer):
    """The directions of a layer's parameters or carry, as a list."""
    if not layer.bidirectional:
        return [tree]
    return [jax.tree.map(lambda a, d=d: a[d], tree) for d in range(2)]
