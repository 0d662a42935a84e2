"""LSTM cells of TensorFlow 1: live ones with random values, and arrays by variable name."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1
cells = v1.nn.rnn_cell

UNITS, INPUTS, STEPS, BATCH = 4, 5, 6, 3


def unrolled(session, cell, xs, **options):
    """Outputs, last state, and the variables with random values."""
    ys, state = v1.nn.dynamic_rnn(
        cell, tf.constant(xs), dtype=tf.float32, time_major=True, **options
    )
    draw = np.random.default_rng(1)
    for variable in v1.trainable_variables():
        value = draw.normal(size=variable.shape.as_list()).astype("float32") / 2
        session.run(v1.assign(variable, value))
    values = {v.name: session.run(v) for v in v1.trainable_variables()}
    return *session.run((ys, state)), values


def xs_of():
    return np.random.default_rng(0).normal(size=(STEPS, BATCH, INPUTS)).astype("float32")


def lstm(inputs, units=4, seed=0):
    """A kernel and a bias."""
    draw = np.random.default_rng(seed)
    kernel = draw.normal(size=(inputs + units, 4 * units)).astype("float32")
    return {"kernel": kernel, "bias": draw.normal(size=4 * units).astype("float32")}


def below(**cells):
    """Arrays by whole names; two underscores stand for a slash."""
    return {
        f"{name.replace('__', '/')}/{last}": array
        for name, own in cells.items()
        for last, array in own.items()
    }
