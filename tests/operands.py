"""Operands of the recurrence's kernels, drawn at random."""

import jax.numpy as jnp
import numpy as np

from jlstm import Carry
from jlstm.kernels.primitives.operands import Backward, Forward

BOTH, MIXED = (False, True), (True, False, True)  # whether each group runs backwards


def drawn(draw, *shape):
    return jnp.asarray(draw.normal(size=shape).astype("float32") / 2)


def forward(reverse, time, batch, inputs, units, given=(), seed=0):
    """Operands of a run, sharing inputs and flags among its groups."""
    draw, groups = np.random.default_rng(seed), len(reverse)

    def state():
        return Carry(drawn(draw, groups, batch, units), drawn(draw, groups, batch, units))

    def flags(name, share):
        return jnp.asarray(draw.random((1, time, batch)) < share) if name in given else None

    w_x = drawn(draw, groups, inputs, 4 * units)
    w_h = drawn(draw, groups, units, 4 * units) / np.sqrt(units)
    start, initial = state(), state() if "resets" in given else None
    xs = drawn(draw, 1, time, batch, inputs)
    b = drawn(draw, groups, 4 * units)
    return Forward(w_x, w_h, b, start, initial, xs, flags("valid", 0.7), flags("resets", 0.3))


def backward(run, made, seed=1):
    """Operands of its transpose, for gradients drawn at random."""
    draw = np.random.default_rng(seed)
    d_last = Carry(*(drawn(draw, *a.shape) for a in made.carry))
    residuals = made.residuals
    d_hs = drawn(draw, *made.hs.shape)
    return Backward(
        run.w_h, residuals.gates, residuals.c_before, run.valid, run.resets, d_last, d_hs
    )
