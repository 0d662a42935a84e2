"""Calls with int8 weights, and what these weights mean."""

import jax
import numpy as np

import jlstm
from jlstm import Config, Quantized
from tests.networks import make_call, scaled

CONFIG = Config.stack(3, [5, 4])


DTYPES = ("float32", "bfloat16", "float64")


def is_int8(value):
    return isinstance(value, Quantized)


def dequantised(tree, dtype="float64"):
    """The tree with the float matrices that its int8 matrices mean, computed by NumPy alone."""

    def matrix(a):
        if not is_int8(a):
            return np.asarray(a)
        values, scale = np.asarray(a.values), np.asarray(a.scale)
        made = np.empty(values.shape, dtype)
        for column in range(values.shape[-1]):
            made[..., column] = values[..., column] * scale.astype(dtype)[..., column, None]
        return made

    return jax.tree.map(matrix, tree, is_leaf=is_int8)


def quantized_call(config, seed=0, time=5, batch=(2,), given=(), dtype="float32"):
    """A call with int8 weights, and the same with the float weights that they mean."""
    call = make_call(config, time, batch, seed, given, dtype)
    own = call._replace(params=jlstm.quantize(config, scaled(call.params)))
    return own, own._replace(params=dequantised(own.params, "float32"))
