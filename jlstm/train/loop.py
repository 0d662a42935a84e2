"""The loop of training: several steps in each compiled call, and what stops it."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.train.data import batches
from jlstm.train.data.split import Split, Stream
from jlstm.train.model import Batch, Model
from jlstm.train.step import Metrics, State
from jlstm.train.tasks.task import Sums

TrainStep = Callable[[State, Batch, jax.Array], tuple[State, Metrics]]


class Update(NamedTuple):
    """What one compiled call did.

    Attributes:
      step: the number of steps made so far.
      state: the state after them.
      metrics: the metrics of each step of the call [steps], by name.
    """

    step: int
    state: State
    metrics: dict[str, np.ndarray]


class DivergedError(ValueError):
    """The loss or a parameter became NaN or infinite.

    Attributes:
      step: the first step after which it was, counted from 1.
      state: the state before that step, whose parameters are finite.
      parameters: the names of the parameters with NaN or infinite values after that step.
    """

    def __init__(self, message: str, step: int, state: State, parameters: list[str]) -> None:
        super().__init__(message)
        self.step, self.state, self.parameters = step, state, parameters


def several_steps(train_step: TrainStep) -> Callable[[State, Batch, jax.Array], tuple]:
    """A compiled function that makes S steps from a state, stacked batches [S, ...] and a key.

    The key of each step is `jax.random.fold_in(key, step)`, whatever S is.
    """

    # The state is not donated, so that a run that diverges can return to it.
    @jax.jit
    def steps(state: State, stack: Batch, key: jax.Array) -> tuple[State, Metrics]:
        def one(state: State, batch: Batch) -> tuple[State, Metrics]:
            return train_step(state, batch, jax.random.fold_in(key, state.step))

        return jax.lax.scan(one, state, stack)

    return steps


def updates(
    train_step: TrainStep,
    state: State,
    source: Iterator[Batch],
    key: jax.Array,
    *,
    steps: int,
    stops: Callable[[int], int] = lambda step: 50,
    place: Callable[[Batch], Any] = jax.device_put,
) -> Iterator[Update]:
    """Trains until `steps` steps are made. Yields after each compiled call.

    While the device computes, the next batches are made and put on it.

    Args:
      train_step: what `make_train_step` returned.
      state: the state to begin with.
      source: batches of one shape, one for each step that is still to be made.
      key: the key of the run.
      steps: the number of steps of the whole run, those that led to `state` included.
      stops: a function of the number of steps made so far. It returns the number of steps of the
        next call, for example those until an evaluation. Each different number compiles once.
      place: puts stacked batches on the devices.

    Returns:
      An iterator of Update, one per compiled call.

    Raises:
      DivergedError: the loss became NaN or infinite, or a parameter did.
      ValueError: the batches ended before the steps, or their shapes differ.

    >>> import optax
    >>> from jlstm.config import Config
    >>> from jlstm.train import step
    >>> from jlstm.train.tasks.classify import Classify
    >>> config, task, optimizer = Config.stack(6, [4]), Classify(3), optax.adam(1e-2)
    >>> state = step.new_state(jax.random.key(0), config, task, optimizer)
    >>> split = Split(np.zeros((5, 7, 6), "float32"), np.arange(5) % 3)
    >>> train_step = step.make_train_step(config, task, optimizer)
    >>> source = batches.training(split, 4)
    >>> for update in updates(train_step, state, source, jax.random.key(1), steps=3):
    ...     print(update.step, update.metrics["loss"].shape)
    3 (3,)
    """
    run, done = several_steps(train_step), int(state.step)

    def following(done: int) -> Any:
        count = min(stops(done), steps - done)
        return place(batches.stacked(source, count)) if count > 0 else None

    stack = following(done)
    while done < steps:
        before = state
        state, metrics = run(before, stack, key)
        count = len(jax.tree.leaves(stack)[0])
        ahead = following(done + count)
        made = {name: np.asarray(values) for name, values in metrics.items()}
        losses = made["loss"]
        if not np.isfinite(losses).all() or not _finite(state.model):
            _diverge(train_step, before, stack, key, steps)
        done, stack = done + count, ahead
        yield Update(done, state, made)


@jax.jit
def _all_finite(model: Model) -> jax.Array:
    return jnp.stack([jnp.isfinite(a).all() for a in jax.tree.leaves(model)]).all()


def _finite(model: Model) -> bool:
    return bool(_all_finite(model))


def _diverge(train_step: TrainStep, state: State, stack: Batch, key: jax.Array, steps: int) -> None:
    """Makes the steps of a call one by one, and raises DivergedError at the first that fails."""
    one = jax.jit(train_step)
    for n in range(len(jax.tree.leaves(stack)[0])):
        batch = jax.tree.map(lambda a, n=n: a[n], stack)
        number = int(state.step) + 1
        after, metrics = one(state, batch, jax.random.fold_in(key, number - 1))
        loss = float(metrics["loss"])
        strays = [
            _name(path)
            for path, a in jax.tree_util.tree_leaves_with_path(after.model)
            if not jnp.isfinite(a).all()
        ]
        if not np.isfinite(loss) or strays:
            what = f"the loss became {loss}" if not np.isfinite(loss) else f"the loss was {loss:g}"
            where = f", and NaN or infinite numbers came into {_some(strays)}" if strays else ""
            raise DivergedError(f"{what} at step {number} of {steps}{where}", number, state, strays)
        state = after
    # Compiled together, a step gave NaN; alone, none does.
    number = int(state.step) + 1
    raise DivergedError(f"the loss became NaN or infinite before step {number}", number, state, [])


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} others"


def evaluated(
    eval_step: Callable[..., tuple[Any, Sums]],
    model: Model,
    split: Split | Stream,
    batch_size: int,
    *,
    carry: Any = None,
    unroll: int | None = None,
    share: tuple[int, int] = (0, 1),
    place: Callable[[Batch], Any] = jax.device_put,
) -> dict[str, float]:
    """The metrics of a model over all of a split.

    Args:
      eval_step: what `make_eval_step` returned, compiled.
      model: the parameters.
      split: the sequences, or the stream.
      batch_size: sequences in a batch.
      carry: for a stream, `jlstm.initial_carry(config, model.network, (batch_size,))`. Each batch
        then goes on from the carry of the one before. None: each batch begins anew.
      unroll: the steps of each batch of a stream.
      share: the share of this process of each batch, as `batches.evaluation` takes it.
      place: puts a batch on the devices.

    Returns:
      The task's metrics by name, as means over the sequences or tokens.

    Raises:
      ValueError: the split is empty.

    >>> import optax
    >>> from jlstm.config import Config
    >>> from jlstm.train import step
    >>> from jlstm.train.tasks.classify import Classify
    >>> config, task, optimizer = Config.stack(6, [4]), Classify(3), optax.adam(1e-2)
    >>> state = step.new_state(jax.random.key(0), config, task, optimizer)
    >>> split = Split(np.zeros((5, 7, 6), "float32"), np.arange(5) % 3)
    >>> eval_step = jax.jit(step.make_eval_step(config, task))
    >>> sorted(evaluated(eval_step, state.model, split, 4))
    ['accuracy', 'loss']
    """
    total: dict[str, tuple[float, float]] = {}
    for batch in batches.evaluation(split, batch_size, unroll=unroll, share=share):
        carry, sums = eval_step(model, carry, place(batch))
        for name, (value, weight) in sums.items():
            before = total.get(name, (0.0, 0.0))
            total[name] = (before[0] + float(value), before[1] + float(weight))
    if not total:
        raise ValueError("there are no sequences to measure by")
    # Where nothing counts, the total, as in a step of training.
    return {
        name: value / (weight if weight > 0 else 1.0) for name, (value, weight) in total.items()
    }
