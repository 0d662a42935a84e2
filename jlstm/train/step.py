"""One step of training, and of evaluation, as pure functions."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jlstm import quantized
from jlstm.config import Config
from jlstm.masking import select
from jlstm.params import initial_carry
from jlstm.train.model import Batch, Model
from jlstm.train.optimizer import average_of, updates_made
from jlstm.train.tasks.task import Carries, Sums, Task, widened

Metrics = dict[str, jax.Array]


class State(NamedTuple):
    """All that training goes on from.

    Attributes:
      step: the number of steps made, int32 [].
      model: the parameters.
      optimizer: the state of the optimiser.
      average: the moving average of the parameters. None: there is none.
      carry: the carry that the next batch goes on from. None: each batch begins anew.

    >>> from jlstm.train.tasks.classify import Classify
    >>> config, task = Config.stack(6, [4]), Classify(10)
    >>> state = new_state(jax.random.key(0), config, task, optax.adam(1e-2))
    >>> int(state.step), state.model.head.w.shape
    (0, (4, 10))
    """

    step: jax.Array
    model: Model
    optimizer: Any
    average: Model | None = None
    carry: Carries | None = None


def new_state(
    key: jax.Array,
    config: Config,
    task: Task,
    optimizer: optax.GradientTransformation,
    *,
    average: bool = False,
    batch_size: int | None = None,
) -> State:
    """The state before the first step, with random parameters.

    Args:
      key: a key of jax.random.
      config: the network.
      task: the task.
      optimizer: a gradient transformation of optax.
      average: whether to keep a moving average of the parameters.
      batch_size: the sequences of a batch, if each batch goes on from the carry of the one before,
        as those of a stream do. None: each begins anew.

    Returns:
      The State of step 0.

    Raises:
      TypeError, ValueError: the task's readout cannot read the network's outputs, or the
        parameters are too coarse for an average.

    >>> from jlstm.train.tasks.classify import Classify
    >>> config, task = Config.stack(6, [4]), Classify(10)
    >>> state = new_state(jax.random.key(0), config, task, optax.adam(1e-2), batch_size=3)
    >>> state.carry[0].c.shape
    (3, 4)
    """
    model = task.new(key, config)
    carry = None
    if batch_size is not None:
        carry = initial_carry(config, model.network, (batch_size,))
    if average and jnp.finfo(config.param_dtype).bits < 32:
        raise ValueError(
            f"param_dtype is {config.param_dtype}, in which a moving average of the parameters "
            "stands still, because each of its steps is rounded away; set param_dtype = "
            f'"float32", with dtype = "{config.param_dtype}", or leave out average'
        )
    kept = jax.tree.map(jnp.copy, model) if average else None
    return State(jnp.zeros((), "int32"), model, optimizer.init(model), kept, carry)  # type: ignore[arg-type]


def make_train_step(
    config: Config,
    task: Task,
    optimizer: optax.GradientTransformation,
    *,
    average: float | None = None,
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
) -> Callable[[State, Batch, jax.Array | None], tuple[State, Metrics]]:
    """The function that makes one step of training. It is pure: jit it, scan it, shard it.

    Args:
      config: the network.
      task: the task: what the model predicts, and the loss.
      optimizer: a gradient transformation of optax.
      average: the decay, at each update, of the moving average of the parameters. None: there is
        none.
      augment: a function of a key and the inputs of a batch that returns changed inputs.

    Returns:
      A function of a state, a batch and a key, which returns the next state and metrics: those of
      the task as means over the batch, before the step, and "gradient_norm". Dropout and `augment`
      draw from the key. Without a key there is neither.

    Raises:
      TypeError, ValueError: raised by the returned function, if a batch does not fit, or if
        parameters are int8.

    >>> from jlstm.train.tasks.classify import Classify
    >>> config, task, optimizer = Config.stack(6, [4]), Classify(10), optax.adam(1e-2)
    >>> state = new_state(jax.random.key(0), config, task, optimizer)
    >>> train_step = jax.jit(make_train_step(config, task, optimizer), donate_argnums=0)
    >>> batch = Batch(jnp.ones((3, 7, 6)), jnp.array([1, 2, 3]))
    >>> state, metrics = train_step(state, batch, jax.random.key(1))
    >>> int(state.step), sorted(metrics)
    (1, ['accuracy', 'gradient_norm', 'loss'])
    """

    def train_step(state: State, batch: Batch, key: jax.Array | None) -> tuple[State, Metrics]:
        quantized.refuse("training", state.model)
        k_dropout = None
        if key is not None:
            k_dropout, k_augment = jax.random.split(key)
            if augment is not None:
                batch = batch._replace(xs=augment(k_augment, batch.xs))

        def loss(model: Model) -> tuple[jax.Array, tuple[Carries, Sums]]:
            carry = _begun(config, model, state.carry, batch)
            carry, predictions = task.predict(config, model, batch, carry, k_dropout)
            sums = task.measure(predictions, batch)
            return _mean(*sums["loss"]), (carry, sums)

        gradients, (carry, sums) = jax.grad(loss, has_aux=True)(state.model)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.model)  # type: ignore[arg-type]
        model: Any = optax.apply_updates(state.model, updates)  # type: ignore[arg-type]
        kept = state.average
        if kept is not None and average is not None:
            made = updates_made(state.optimizer, state.step)
            following = average_of(kept, model, average, made)
            # A batch whose gradient only adds to those of others changes no parameter.
            updated = updates_made(optimizer_state, state.step + 1) > made
            kept = jax.tree.map(functools.partial(jnp.where, updated), following, kept)
        after = State(
            state.step + 1, model, optimizer_state, kept, None if state.carry is None else carry
        )
        wide = jax.tree.map(widened, gradients)
        metrics = {name: _mean(*pair) for name, pair in sums.items()}
        return after, metrics | {"gradient_norm": optax.tree.norm(wide)}

    return train_step


def make_eval_step(
    config: Config, task: Task
) -> Callable[[Model, Carries | None, Batch], tuple[Carries | None, Sums]]:
    """The function that measures a model on one batch.

    Args:
      config: the network.
      task: the task.

    Returns:
      A function of a model, a carry or None, and a batch. It returns the carry after the batch,
      None if it got None, and the task's sums, which add up over batches.

    Raises:
      TypeError, ValueError: raised by the returned function, if a batch does not fit.

    >>> from jlstm.train.tasks.classify import Classify
    >>> config, task = Config.stack(6, [4]), Classify(10)
    >>> model = task.new(jax.random.key(0), config)
    >>> batch = Batch(jnp.ones((3, 7, 6)), jnp.array([1, 2, 3]))
    >>> _, sums = jax.jit(make_eval_step(config, task))(model, None, batch)
    >>> float(sums["accuracy"][1])  # the number of sequences
    3.0
    """

    def eval_step(model: Model, carry: Carries | None, batch: Batch) -> tuple[Carries | None, Sums]:
        begun = _begun(config, model, carry, batch)
        after, predictions = task.predict(config, model, batch, begun)
        return None if carry is None else after, task.measure(predictions, batch)

    return eval_step


def _begun(config: Config, model: Model, carry: Carries | None, batch: Batch) -> Carries | None:
    """The carry, which begins anew in the sequences that start with this batch."""
    if carry is None or batch.starts is None:
        return carry
    fresh = initial_carry(config, model.network, batch.starts.shape)
    return tuple(select(batch.starts, a, b) for a, b in zip(fresh, carry, strict=True))


def _mean(total: jax.Array, weight: jax.Array) -> jax.Array:
    # Where nothing counts, the total: edits of sequences without targets are no error rate.
    return total / jnp.where(weight > 0, weight, 1.0)
