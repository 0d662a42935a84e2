"""The last output of each sequence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jlstm.network.readout import last_output


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("traced", [False, True])
def test_lengths_of_every_integer_type_find_the_last_output(dtype, traced, x64):
    """300 steps are more than 8 bits can count."""
    ys = jnp.arange(600.0).reshape(300, 2, 1)
    find = functools.partial(last_output, ys, time_major=True)
    made = (jax.jit(find) if traced else find)(lengths=jnp.array([1, 120], dtype))
    np.testing.assert_array_equal(made, [ys[0, 0], ys[119, 1]])


@pytest.mark.parametrize("dtype", ["uint32", "int64", "uint64"])
def test_lengths_beyond_32_bits_count_as_all_steps(dtype, x64):
    ys = jnp.arange(8.0).reshape(4, 2, 1)
    most = jnp.full(2, jnp.iinfo(dtype).max, dtype)
    find = jax.jit(functools.partial(last_output, ys, time_major=True))
    np.testing.assert_array_equal(find(lengths=most), ys[3])
