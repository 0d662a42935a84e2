"""Keras: LSTM layers on the backend that KERAS_BACKEND names."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from jlstm.bench.peers import Program, UnsupportedError, jax_program, plain
from jlstm.bench.problem import LayerWeights, Problem, Seen, named


def prepare(problem: Problem, mode: str) -> Program:
    """One LSTM, or Bidirectional of one, per layer; batch-major."""
    plain.require(problem, resets=False, dtypes=("float32",))
    if mode == "step":
        raise UnsupportedError("it is timed on whole sequences only")
    layers = _layers(problem)
    # Keras lists weights as [kernel, recurrent_kernel, bias] per layer and direction.
    if keras.backend.backend() == "jax":
        return _on_jax(problem, mode, layers)
    if mode == "compile":
        raise UnsupportedError("compiling is timed for JAX only")
    return _on_tensorflow(problem, mode, layers)


def _layers(problem: Problem) -> list[Any]:
    layers = []
    for layer, own in zip(problem.case.config.layers, problem.layers, strict=True):
        made: Any = keras.layers.LSTM(layer.hidden_size, return_sequences=True)
        if layer.bidirectional:
            made = keras.layers.Bidirectional(made)
        made.build((None, None, own.w_x.shape[1]))
        made.set_weights([a[d] for d in range(len(own.b)) for a in own])
        layers.append(made)
    return layers


def _mask(problem: Problem) -> Any:
    if problem.lengths is None:
        return None
    return np.arange(len(problem.xs)) < problem.lengths[:, None]


def _on_jax(problem: Problem, mode: str, layers: list[Any]) -> Program:
    mask = _mask(problem)

    def weights(given: tuple[LayerWeights, ...]) -> Any:
        return [[a[d] for d in range(len(layer.b)) for a in layer] for layer in given]

    def forward(own: Any, xs: Any, lengths: Any, resets: None) -> Any:
        for layer, values in zip(layers, own, strict=True):
            rest = [v.value for v in layer.non_trainable_variables]
            xs, _ = layer.stateless_call(values, rest, xs, mask=mask)
        return plain.zero_padding(xs.swapaxes(0, 1), lengths).swapaxes(0, 1)

    return jax_program.prepare(problem, mode, weights, forward, time_major=False)


def _on_tensorflow(problem: Problem, mode: str, layers: list[Any]) -> Program:
    import tensorflow as tf

    start = time.perf_counter()
    mask = _mask(problem)
    valid = None if mask is None else tf.constant(mask[..., None].astype("float32"))
    xs = tf.constant(problem.xs.swapaxes(0, 1))
    variables = [[v.value for v in layer.trainable_variables] for layer in layers]

    def forward(xs: Any) -> Any:
        for layer in layers:
            xs = layer(xs, mask=None if mask is None else tf.constant(mask))
        return xs if valid is None else xs * valid

    def train(xs: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(xs)
            ys = forward(xs)
            loss = tf.reduce_mean(ys**2)
        return ys, tape.gradient(loss, [xs, *variables])

    run: Callable[..., Any] = tf.function(train if mode == "training" else forward)

    def call() -> None:
        finished = run(xs)
        (finished[0] if mode == "training" else finished).numpy()

    def results() -> Seen:
        if mode == "forward":
            return {"outputs": run(xs).numpy().swapaxes(0, 1)}
        ys, (of_xs, *of_layers) = run(xs)
        gradients = []
        for layer in of_layers:
            arrays = [np.asarray(a) for a in layer]
            directions = [arrays[i : i + 3] for i in range(0, len(arrays), 3)]
            gradients.append(LayerWeights(*map(np.stack, zip(*directions, strict=True))))
        seen = {"outputs": ys, "gradients for the input": of_xs}
        seen = {name: np.asarray(a).swapaxes(0, 1) for name, a in seen.items()}
        return seen | named(tuple(gradients))

    nothing = tf.function(lambda xs: xs[-1, -1, -1:] + 1)
    call()
    return Program(call, results, lambda: nothing(xs).numpy(), 0.0, time.perf_counter() - start)
