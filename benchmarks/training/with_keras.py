"""Keras on JAX: Model.fit on NumPy arrays, Masking for lengths, and stateful layers for text."""

import os
from collections.abc import Callable

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from cases import Arrays, Case
from keras import layers


def prepare(case: Case, arrays: Arrays) -> Callable[[], tuple[int, float]]:
    """A function that trains one turn. It returns the number of sequences and the mean loss."""
    keras.utils.set_random_seed(0)
    xs, targets = _text(case, arrays.xs) if case.tokens else arrays[:2]
    model = keras.Sequential(_layers(case, arrays))
    loss = "mse" if case.kind in ("regress", "forecast") else _cross_entropy()
    model.compile(keras.optimizers.Adam(1e-3), loss)
    epochs = 1 if case.tokens else -(-case.steps * case.batch_size // len(xs))

    def turn() -> tuple[int, float]:
        found = model.fit(xs, targets, case.batch_size, epochs, shuffle=not case.tokens, verbose=0)
        return len(xs) * epochs, sum(found.history["loss"]) / epochs

    return turn


def _cross_entropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _layers(case: Case, arrays: Arrays) -> list[keras.Layer]:
    sizes, text = case.hidden_sizes, case.tokens
    first: list[keras.Layer] = [layers.Input(arrays.xs.shape[1:])]
    if text:
        first = [
            layers.Input(batch_shape=(case.batch_size, case.unroll), dtype="int32"),
            layers.Embedding(case.outputs, sizes[0]),
        ]
    elif arrays.lengths is not None:
        first.append(layers.Masking())
    network = [
        layers.LSTM(size, return_sequences=text or n < len(sizes) - 1, stateful=text)
        for n, size in enumerate(sizes)
    ]
    return [*first, *network, layers.Dense(case.outputs)]


def _text(case: Case, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets in the order of the batches, each the next part of every row."""
    parts = (len(tokens) - 1) // case.batch_size // case.unroll
    used = parts * case.batch_size * case.unroll
    shape = (case.batch_size, parts, case.unroll)
    xs, targets = (tokens[n : n + used].reshape(shape).swapaxes(0, 1) for n in (0, 1))
    return xs.reshape(-1, case.unroll), targets.reshape(-1, case.unroll)
