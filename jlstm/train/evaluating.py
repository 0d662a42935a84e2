"""Evaluation within a run: which parameters are measured, and their metrics on each split."""

import functools

from jax.sharding import Mesh

from jlstm.train import devices, loop, step
from jlstm.train.data.split import Data, Split, Stream
from jlstm.train.model import Model
from jlstm.train.settings import Settings


def evaluated_model(state: step.State) -> Model:
    """The parameters that are measured and saved: their average, if there is one."""
    return state.model if state.average is None else state.average


class Evaluator:
    """Measures models with one function, which is compiled once for all evaluations of a run."""

    def __init__(self, settings: Settings, mesh: Mesh | None) -> None:
        self._settings, self._mesh = settings, mesh
        one = step.make_eval_step(settings.network, settings.task)
        self._eval_step = devices.eval_step(mesh, one)

    def metrics(self, model: Model, split: Split | Stream) -> dict[str, float]:
        """The metrics of a model on a split."""
        own, carry = self._settings.train, None
        if isinstance(split, Stream):
            carry = devices.carry(self._mesh, self._settings.network, model, own.batch_size)
        return loop.evaluated(
            self._eval_step,
            model,
            split,
            own.batch_size,
            carry=carry,
            unroll=own.unroll,
            share=devices.share(),
            place=functools.partial(devices.placed, self._mesh, batch_size=own.batch_size),
        )

    def by_split(self, model: Model, data: Data) -> dict[str, dict[str, float]]:
        """The metrics on "valid" and "test", as far as the data have them."""
        splits = {"valid": data.valid, "test": data.test}
        return {
            name: self.metrics(model, split) for name, split in splits.items() if split is not None
        }
