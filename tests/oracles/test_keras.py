"""Activations and merges beside Keras, with gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jlstm import Layer
from tests.examples import mostly_full
from tests.networks import apply, assert_close, loss
from tests.oracles.calls import H, call_of, sides

pytestmark = pytest.mark.filterwarnings("ignore")

KERAS = {
    "hard sigmoid": Layer(H, recurrent_activation="hard_sigmoid"),
    "relu, softsign": Layer(
        H, activation="relu", cell_activation="relu", recurrent_activation="softsign"
    ),
    "concat": Layer(H, bidirectional=True),
    "sum": Layer(H, bidirectional=True, merge="sum"),
    "mul": Layer(H, bidirectional=True, merge="mul"),
    "average": Layer(H, bidirectional=True, merge="average"),
    "no merge": Layer(H, bidirectional=True, merge="none"),
}


@pytest.mark.parametrize(
    "row", mostly_full(KERAS, default=["relu, softsign", "average", "no merge"])
)
def test_keras(row):
    keras = pytest.importorskip("keras")
    layer = KERAS[row]
    call = call_of(layer)._replace(carry=None)
    one = keras.layers.LSTM(
        H,
        return_sequences=True,
        activation=layer.activation,
        recurrent_activation=layer.recurrent_activation,
    )
    merges = {"concat": "concat", "average": "ave", "none": None}
    if layer.bidirectional:
        one = keras.layers.Bidirectional(one, merge_mode=merges.get(layer.merge, layer.merge))
    xs = np.swapaxes(call.xs, 0, 1)
    one.build(xs.shape)

    def in_keras(params, xs):
        weights = [a for p in sides(params.layers[0], layer) for a in p[:3]]
        state = [v.value for v in one.non_trainable_variables]
        ys, _ = one.stateless_call(weights, state, jnp.swapaxes(xs, 0, 1))
        return jnp.swapaxes(jnp.stack(ys, -2) if layer.merge == "none" else ys, 0, 1)

    def own(params, xs):
        return apply(call, params=params, xs=xs)[1]

    args = (call.params, call.xs)
    assert_close(own(*args), in_keras(*args), atol=1e-5)
    slopes = [jax.grad(lambda args, run=run: loss(run(*args)))(args) for run in (own, in_keras)]
    assert_close(*slopes, atol=1e-4)
