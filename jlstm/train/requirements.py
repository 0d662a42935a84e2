"""What a run needs of its data and of the machine. Checked before the work."""

from typing import Any

import jax

from jlstm import sizes, validation
from jlstm.train.data import batches
from jlstm.train.data.split import Data, Stream
from jlstm.train.settings import Settings


def require_metric(settings: Settings, data: Data) -> None:
    """ValueError if the options of evaluation would have no effect, or the metric is unknown."""
    own, task = settings.train, settings.task
    given = [name for name in ("metric", "patience") if getattr(own, name) is not None]
    if given and data.valid is None:
        raise ValueError(
            f"{' and '.join(given)} of [train] {'need' if given[1:] else 'needs'} a validation "
            "part, but the data have none; add one to [data], or leave this out"
        )
    if own.metric is None or data.valid is None:
        return
    batch = next(batches.evaluation(data.valid, 1, unroll=own.unroll))

    def measured(key: jax.Array) -> Any:
        model = task.new(key, settings.network)
        return task.measure(task.predict(settings.network, model, batch)[1], batch)

    known = jax.eval_shape(measured, jax.random.key(0))
    validation.known_name("metric of [train]", own.metric, known)


def require_memory(settings: Settings, data: Data) -> None:
    """ValueError if this machine has too little memory for a run."""
    own, config = settings.train, settings.network
    hidden = sum(layer.hidden_size for layer in config.layers)
    steps = own.unroll or 1 if isinstance(data.train, Stream) else data.train.xs.shape[1]
    inputs = 1 if isinstance(data.train, Stream) else data.train.xs[:1].size // max(steps, 1)
    together = min(own.steps_per_call, own.steps, own.between_evaluations, own.between_saves)
    # Parameters, gradients, Adam's two moments and the best parameters; inputs and gates of a
    # batch; the inputs of a call, once in NumPy and once on the device.
    size = 5 * 4 * sizes.weights(config)
    size += 4 * own.batch_size * steps * (config.input_size + 4 * hidden)
    size += 2 * 4 * own.batch_size * steps * inputs * together
    sizes.require_memory("training", size)
