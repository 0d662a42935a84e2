"""The training loop. One jitted call runs several steps of Adam (optax)."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jlstm import sizes, validation
from jlstm.config import Config
from jlstm.train import classify
from jlstm.train.data import Split, shifted


@dataclasses.dataclass(frozen=True)
class Run:
    """The [train] table of a config.

    Attributes:
      task: the task; only "digits" is known.
      out: file that the model is saved to.
      steps: number of optimiser steps.
      batch_size: sequences per step.
      learning_rate: Adam's initial learning rate, which decays to zero along a cosine.
      shift: fraction of training images shifted by up to one pixel, drawn anew at every step.
      steps_per_call: steps per compiled call. The progress bar updates after each call.
      seed: seed of the parameters, batches, shifts and dropout.
    """

    task: str
    out: str
    steps: int = 2000
    batch_size: int = 64
    learning_rate: float = 3e-3
    shift: float = 0.0
    steps_per_call: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        validation.known_name("task", self.task, ("digits",))
        for name in ("steps", "batch_size", "steps_per_call"):
            validation.size(name, getattr(self, name))
        validation.number("seed", validation.integer("seed", self.seed), low=0, below=2**32)
        validation.number("learning_rate", self.learning_rate, low=0.0)
        validation.number("shift", self.shift, low=0.0, high=1.0)
        if not isinstance(self.out, str):
            raise TypeError(f"out is {self.out!r}; expected a file name")


def require_memory(config: Config, run: Run, data: Split) -> None:
    """ValueError if this machine has too little memory for a run."""
    # Parameters, gradients and Adam's two moments; pixels and gates of a batch; keys.
    size = 4 * 4 * sizes.weights(config) + 8 * run.steps
    hidden = sum(layer.hidden_size for layer in config.layers)
    size += 4 * run.batch_size * (data.xs[0].size + 4 * hidden * data.xs.shape[1])
    sizes.require_memory("training", size)


def train(
    config: Config,
    run: Run,
    classes: int,
    data: Split,
    report: Callable[[int, float, float], None],
) -> classify.Model:
    """Trains a model on `data`.

    After each compiled call, calls `report` with the step and the mean loss and accuracy of that
    call's batches.

    Raises:
      ValueError: the loss became NaN or infinite, or the last step made such a parameter. The
        message has the step.
    """
    key = jax.random.key(run.seed)
    # NumPy would warn of an overflow in converting a rate that float32 cannot hold.
    largest = float(np.finfo("float32").max)
    rate = run.learning_rate if run.learning_rate <= largest else math.inf
    schedule = optax.cosine_decay_schedule(rate, run.steps)
    optimizer: Any = optax.adam(schedule)
    model: Any = classify.new(jax.random.fold_in(key, 0), config, classes)
    state = optimizer.init(model)
    xs, labels = jnp.asarray(data.xs), jnp.asarray(data.labels)

    gradients = jax.value_and_grad(functools.partial(classify.loss, config))

    def one_step(carry: tuple, key: jax.Array) -> tuple:
        before, state = carry
        k_batch, k_dropout, k_shift = jax.random.split(key, 3)
        chosen = jax.random.randint(k_batch, (run.batch_size,), 0, len(labels))
        batch = (shifted(k_shift, xs[chosen], run.shift), labels[chosen])
        value, gradient = gradients(before, *batch, k_dropout)
        updates, state = optimizer.update(gradient, state, before)
        model: Any = optax.apply_updates(before, updates)
        return (model, state), (value, classify.accuracy(config, model, *batch))

    @functools.partial(jax.jit, donate_argnums=0)
    def several_steps(carry: tuple, keys: jax.Array) -> tuple:
        return jax.lax.scan(one_step, carry, keys)

    keys = jax.random.split(jax.random.fold_in(key, 1), run.steps)
    carry = (model, state)
    for start in range(0, run.steps, run.steps_per_call):
        chunk = keys[start : start + run.steps_per_call]  # the last chunk may be shorter
        carry, (values, right) = several_steps(carry, chunk)
        _require_finite(run, start, np.asarray(values))
        report(start + len(chunk), float(values.mean()), float(right.mean()))
    model = carry[0]
    if not all(jnp.isfinite(a).all() for a in jax.tree.leaves(model)):
        raise ValueError(
            f"the parameters became NaN or infinite at step {run.steps}; {_advice(run)}"
        )
    return model


def _require_finite(run: Run, start: int, losses: np.ndarray) -> None:
    """ValueError with the first step whose loss is NaN or infinite. Steps count from 1."""
    strays = np.flatnonzero(~np.isfinite(losses))
    if len(strays):
        step, value = start + strays[0] + 1, losses[strays[0]]
        raise ValueError(f"the loss became {value} at step {step} of {run.steps}; {_advice(run)}")


def _advice(run: Run) -> str:
    return f"no model is saved; try a learning_rate below {run.learning_rate:g}"
