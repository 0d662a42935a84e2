"""Flax's own recurrent layers, with random weights, and calls that both sides make."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

UNITS, FEATURES, STEPS, BATCH = 4, 3, 6, 5
XS = np.random.default_rng(0).normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
LENGTHS = np.array([6, 1, 4, 3, 5])
VALID = np.arange(STEPS) < LENGTHS[:, None]
CARRY = tuple(np.random.default_rng(1).normal(size=(2, BATCH, UNITS)).astype("float32"))
# Every combination of what a call of an RNN may ask for.
CALLS = [
    dict(
        zip(
            ("reverse", "keep_order", "time_major", "seq_lengths", "initial_carry"), on, strict=True
        )
    )
    for on in itertools.product([False, True], repeat=5)
    if on[0] or not on[1]  # keep_order acts together with reverse only
]


def arguments(call):
    """The inputs and the keyword arguments of a call, from its flags."""
    xs = XS.swapaxes(0, 1) if call["time_major"] else XS
    given = {name: call[name] for name in ("reverse", "keep_order", "time_major")}
    if call["seq_lengths"]:
        given["seq_lengths"] = jnp.asarray(LENGTHS)
    if call["initial_carry"]:
        given["initial_carry"] = tuple(map(jnp.asarray, CARRY))
    return xs, given


def without_padding(call, ys):
    """Outputs with zeros at the padding, which stays at the end in either order of the outputs."""
    if not call["seq_lengths"]:
        return ys
    return ys * (VALID.T if call["time_major"] else VALID)[..., None]


def randomised(tree, seed=2):
    """The tree with every array drawn anew, biases too."""
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(draw.normal(size=a.shape) / 2, a.dtype), tree)


def linen_variables(module, xs=XS, seed=2):
    return randomised(jax.eval_shape(module.init, jax.random.key(0), xs), seed)


def cell(**options):
    return nn.OptimizedLSTMCell(UNITS, **options)


def assert_close(seen, wanted, atol=1e-6):
    assert len(jax.tree.leaves(seen)) == len(jax.tree.leaves(wanted))
    for one, other in zip(jax.tree.leaves(seen), jax.tree.leaves(wanted), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=atol, rtol=1e-5)
