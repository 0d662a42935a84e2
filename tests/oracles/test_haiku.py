"""Resets beside Haiku's ResetCore, with gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Layer
from tests.networks import apply, assert_close, loss
from tests.oracles.calls import B, H, T, call_of

pytestmark = pytest.mark.filterwarnings("ignore")


def test_haiku_reset_core():
    hk = pytest.importorskip("haiku")
    call = call_of(Layer(H))
    resets = np.random.default_rng(0).random((T, B)) < 0.4

    def run(xs, resets, state):
        return hk.dynamic_unroll(hk.ResetCore(hk.LSTM(H)), (xs, resets), state)

    def in_haiku(params, xs):
        own = params.layers[0]
        b_i, b_f, b_g, b_o = jnp.split(own.b, 4)
        w_i, w_f, w_g, w_o = jnp.split(jnp.concatenate([own.w_x, own.w_h]), 4, axis=-1)
        weights = {
            "w": jnp.concatenate([w_i, w_g, w_f, w_o], axis=-1),
            "b": jnp.concatenate([b_i, b_g, b_f - 1, b_o]),  # its cell adds 1 at every step
        }
        state = hk.LSTMState(call.carry[0].h, call.carry[0].c)
        unrolled = hk.without_apply_rng(hk.transform(run))
        ys, last = unrolled.apply({"lstm/linear": weights}, xs, resets, state)
        return (jlstm.Carry(last.cell, last.hidden),), ys

    def own(params, xs):
        return apply(call, params=params, xs=xs, times={"resets": resets})

    args = (call.params, call.xs)
    assert_close(own(*args), in_haiku(*args), atol=1e-5)
    slopes = [jax.grad(lambda args, run=run: loss(run(*args)))(args) for run in (own, in_haiku)]
    assert_close(*slopes, atol=1e-4)
