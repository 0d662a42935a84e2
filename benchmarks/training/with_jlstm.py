"""jlstm, as `jlstm train` uses it: several steps in each compiled call."""

from collections.abc import Callable

import jax
import optax
from cases import Arrays, Case

from jlstm import Config
from jlstm.train import loop, step
from jlstm.train.data import batches
from jlstm.train.data.split import Split, Stream
from jlstm.train.tasks.classify import Classify
from jlstm.train.tasks.forecast import Forecast
from jlstm.train.tasks.language import Language
from jlstm.train.tasks.regress import Regress

# What `jlstm train` does without an option.
STEPS_PER_CALL = 50
TASKS = {
    "classify": Classify,
    "regress": Regress,
    "forecast": Forecast,
    "language": Language,
}


def prepare(case: Case, arrays: Arrays) -> Callable[[], tuple[int, float]]:
    """A function that trains one turn. It returns the number of sequences and the mean loss."""
    task = TASKS[case.kind](case.outputs)
    features = case.hidden_sizes[0] if case.tokens else arrays.xs.shape[-1]
    config, optimizer = Config.stack(features, case.hidden_sizes), optax.adam(1e-3)
    data = Split(*arrays)
    if case.kind == "forecast":
        data = data._replace(targets=data.targets[..., None])
    if case.tokens:
        data = Stream(arrays.xs)
    size = case.batch_size if case.tokens else None
    state = step.new_state(jax.random.key(0), config, task, optimizer, batch_size=size)
    train_step = step.make_train_step(config, task, optimizer)
    source = batches.training(data, case.batch_size, unroll=case.unroll)
    together = min(STEPS_PER_CALL, case.steps)
    made = loop.updates(
        train_step, state, source, jax.random.key(1), steps=10**9, stops=lambda step: together
    )

    def turn() -> tuple[int, float]:
        losses: list[float] = []
        while len(losses) < case.steps:
            losses += next(made).metrics["loss"].tolist()
        return len(losses) * case.batch_size, sum(losses) / len(losses)

    return turn
