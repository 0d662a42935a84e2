"""A run from its settings to its best model, in a folder that survives the process."""

import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh
from rich.console import Console

from jlstm import validation
from jlstm.files import writing
from jlstm.train import devices, loop, requirements, step, trained
from jlstm.train.best import Best
from jlstm.train.data import batches
from jlstm.train.data.split import Data, Split, Stream
from jlstm.train.model import Batch, Model
from jlstm.train.optimizer import spans_run, transformation
from jlstm.train.runs import (
    checkpoints,
    curves,
    folder,
    metrics,
    model_file,
    processes,
    progress,
    resolved,
    stopping,
    summary,
)
from jlstm.train.runs.clock import Clock
from jlstm.train.settings import Settings, tables_of
from jlstm.train.tasks import fitting
from jlstm.train.trained import arrays_of, values_of


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
      folder: the folder of the run.
      step: the number of steps made.
      best_step: the step that the saved model is of.
      metrics: the metrics of the saved model by split: "valid" and "test", as far as there are any.
      seconds: seconds of training, those before a resumption included.
      exit_code: 0, or the exit code that stands for the signal that stopped the run.
      stopped: why the run stopped before its last step. "": it did not.
      warnings: lines about what could not be written or drawn, beside checkpoints and model.
    """

    folder: pathlib.Path
    step: int
    best_step: int
    metrics: dict[str, dict[str, float]]
    seconds: float
    exit_code: int
    stopped: str
    warnings: tuple[str, ...]


def run(
    settings: Settings,
    data: Data,
    *,
    resume: bool = False,
    overwrite: bool = False,
    silent: bool = False,
    file: str | os.PathLike[str] | None = None,
) -> Outcome:
    """Trains a model, or goes on with its training, in the folder that the settings name.

    Args:
      settings: the settings.
      data: the data set.
      resume: go on from the newest checkpoint of the folder.
      overwrite: remove a run that the folder holds.
      silent: show neither the parts of the model nor progress.
      file: the TOML file that the settings are from. Errors of the settings name it.

    Raises:
      ValueError: the data do not fit the task, the folder holds a run or cannot be written to, the
        machine has too little memory, the devices cannot share a batch, the metric is unknown, or,
        as DivergedError, the loss left the numbers. The state before that step is saved.
      OSError: a checkpoint, the model or metrics.jsonl cannot be written. The checkpoint before
        stays.
    """
    own = settings.train
    with validation.plain_errors(file):
        fitting.require_fitting(settings.task, data)
        requirements.require_metric(settings, data)
        requirements.require_memory(settings, data)
        mesh = devices.mesh_of(settings.mesh, own.batch_size)
    training = _Training(settings, data, pathlib.Path(own.out), mesh)
    spanned = spans_run(settings.optimizer)
    opened = folder.opened(
        own.out,
        tables_of(settings),
        resume=resume,
        overwrite=overwrite,
        # Another number of steps would be another learning rate at every step.
        may_change=resolved.MAY_CHANGE - ({"train.steps"} if spanned else set()),
        try_out=training.try_model,
    )
    with (
        processes.entered_by_first(opened, pathlib.Path(own.out)),
        stopping.requests() as stop,
    ):
        return training.run(resume, silent, stop)


class _Saved(NamedTuple):
    """The arrays of a checkpoint.

    Attributes:
      state: the state of the training.
      best: the best model so far. None: the data have no validation part.
    """

    state: step.State
    best: Model | None


class _Training:
    """What the parts of a run share: functions that are compiled once, and where things go."""

    def __init__(
        self, settings: Settings, data: Data, place: pathlib.Path, mesh: Mesh | None
    ) -> None:
        own, task, config = settings.train, settings.task, settings.network
        self.settings, self.data, self.place, self.mesh = settings, data, place, mesh
        self.key = devices.key(mesh, own.seed)
        self.optimizer = devices.optimizer(mesh, transformation(settings.optimizer, own.steps))
        average = settings.optimizer.average
        one = step.make_train_step(
            config, task, self.optimizer, average=average, augment=data.augment
        )
        self.train_step = devices.train_step(mesh, one)
        self.eval_step = devices.eval_step(mesh, step.make_eval_step(config, task))
        rows = own.batch_size if isinstance(data.train, Stream) else None
        self.new_state = functools.partial(
            step.new_state,
            config=config,
            task=task,
            optimizer=self.optimizer,
            average=average is not None,
            batch_size=rows,
        )
        self.values = values_of(settings.task, data.meaning, settings.data, own.unroll, rows)

    def try_model(self) -> None:
        """Raises before training the errors that saving the model after it would raise."""
        shapes = jax.eval_shape(self.new_state, self.key)
        model_file.try_save(
            self.place / model_file.NAME,
            self.settings.network,
            shapes.model.network,
            arrays_of(shapes.model),
            self.values,
        )

    def _require_same_data(self) -> None:
        """ValueError if the data's names or normalisation are not those of the model so far."""
        path = self.place / model_file.NAME
        if not path.exists():
            return
        try:
            before = trained.load(path).meaning
        except (TypeError, ValueError):
            return  # the file is damaged; this run writes it anew
        if before != self.data.meaning:
            raise ValueError(
                f"{self.place} holds a run on other data; restore the file that [data] names, add "
                "--overwrite to begin anew, or choose another folder"
            )

    def run(self, resume: bool, silent: bool, stop: stopping.Stop) -> Outcome:
        own, saved = self.settings.train, self.place / folder.CHECKPOINTS
        state = devices.made(self.mesh, self.new_state, jax.random.fold_in(self.key, 2**32 - 1))
        best, start = Best(_evaluated_model(state)), 0
        if not silent and processes.is_first():
            Console(stderr=True).print(summary.table(state.model))
        found = checkpoints.restore(saved, self._saved(state, best)) if resume else None
        if found is not None:
            self._require_same_data()
            state, start = found.state.state, found.step
            model = found.state.best
            best = Best(_evaluated_model(state) if model is None else model, **found.notes)
            if best.value is not None:
                self._save_model(best.model)  # the file may be of a step that is not made any more
        resumed = None if found is None else start
        stopped = ""
        with (
            checkpoints.writer(saved, keep=own.keep, after=resumed) as writer,
            processes.entered_by_first(
                metrics.opened(self.place, resumed=resumed), metrics.Log(None, None, 0.0)
            ) as log,
            progress.shown(
                own.steps, start=start, silent=silent or not processes.is_first()
            ) as shown,
        ):
            for line in () if found is None else found.said:
                shown.say(line)
            if found is not None:
                shown.say(f"going on after step {start} of {own.steps}")
            clock = Clock(log.seconds)
            try:
                for update in self._updates(state, start):
                    # A killed run loses no more than the steps between two checkpoints: no later
                    # step is reported before the checkpoint is whole.
                    writer.wait()
                    state, stop.waits = update.state, True
                    self._report(update, log, shown, clock)
                    if self._due(update.step, own.between_evaluations):
                        self._evaluate(update, best, log, shown, clock)
                    stopped = self._stopped(update.step, best, stop)
                    if stopped or self._due(update.step, own.between_saves):
                        writer.save(update.step, self._saved(state, best), best.notes())
                    if stopped:
                        break
            except loop.DivergedError as error:
                writer.save(error.step - 1, self._saved(error.state, best), best.notes())
                writer.wait()
                raise ValueError(f"{error}; {self._advice(error)}") from None
            if self.data.valid is None or best.value is None:
                best.step = int(state.step)
                self._save_model(_evaluated_model(state))
            writer.wait()  # after the model, which a disk may have room for
            measured = self._measured(int(state.step), log, clock.now())
        if processes.is_first():
            log.warnings += curves.try_draw(self.place)
        return Outcome(
            self.place,
            int(state.step),
            best.step,
            measured,
            clock.now(),
            stop.exit_code,
            stopped,
            tuple(log.warnings),
        )

    def _updates(self, state: step.State, start: int) -> Any:
        own = self.settings.train
        source = batches.training(
            self.data.train,
            own.batch_size,
            seed=own.seed,
            start=start,
            unroll=own.unroll,
            share=devices.share(),
        )
        return loop.updates(
            self.train_step,
            state,
            source,
            self.key,
            steps=own.steps,
            stops=self._until_stop,
            place=self._placed(stacked=True),
        )

    def _placed(self, *, stacked: bool) -> Callable[[Batch], Batch]:
        size = self.settings.train.batch_size
        return lambda batch: devices.placed(self.mesh, batch, size, stacked=stacked)

    def _until_stop(self, done: int) -> int:
        """Steps of the next compiled call, which ends where something else is to be done."""
        own = self.settings.train
        every = (own.between_evaluations, own.between_saves)
        return min(own.steps_per_call, *(each - done % each for each in every))

    def _due(self, done: int, every: int) -> bool:
        return done % every == 0 or done == self.settings.train.steps

    def _report(self, update: loop.Update, log: Any, shown: Any, clock: Clock) -> None:
        means = {name: float(values.mean()) for name, values in update.metrics.items()}
        count = len(next(iter(update.metrics.values())))
        speed = count * self.settings.train.batch_size / clock.since_report()
        log.write(update.step, "train", means, seconds=clock.now())
        shown.update(update.step, means, speed)

    def _evaluate(
        self, update: loop.Update, best: Best, log: Any, shown: Any, clock: Clock
    ) -> None:
        if self.data.valid is None:
            return
        model = _evaluated_model(update.state)
        found = self._over(model, self.data.valid)
        log.write(update.step, "valid", found, seconds=clock.now())
        metric = self.settings.train.metric or "loss"
        if best.update(model, update.step, found[metric], metric):
            self._save_model(model)
        shown.say(f"step {update.step}: validation {progress.words(found)}")

    def _stopped(self, done: int, best: Best, stop: stopping.Stop) -> str:
        own = self.settings.train
        if stop.anywhere():
            return f"stopped after step {done} of {own.steps}; go on with --resume"
        if own.patience is not None and best.stale >= own.patience and done < own.steps:
            return f"stopped after step {done}: {best.stale} evaluations without improvement"
        return ""

    def _over(self, model: Model, split: Split | Stream) -> dict[str, float]:
        own, carry = self.settings.train, None
        if isinstance(split, Stream):
            carry = devices.carry(self.mesh, self.settings.network, model, own.batch_size)
        return loop.evaluated(
            self.eval_step,
            model,
            split,
            own.batch_size,
            carry=carry,
            unroll=own.unroll,
            share=devices.share(),
            place=self._placed(stacked=False),
        )

    def _saved(self, state: step.State, best: Best) -> _Saved:
        """What a checkpoint holds beside the notes."""
        return _Saved(state, None if self.data.valid is None else best.model)

    def _save_model(self, model: Model) -> None:
        model = devices.whole(self.mesh, model)

        def save() -> None:
            model_file.save(
                self.place / model_file.NAME,
                self.settings.network,
                model.network,
                arrays_of(model),
                self.values,
            )

        processes.by_first(save)

    def _measured(self, done: int, log: Any, seconds: float) -> dict[str, dict[str, float]]:
        """The metrics of the saved model."""
        model = trained.load(self.place / model_file.NAME).model
        model, found = devices.everywhere(self.mesh, model), {}
        for name in ("valid", "test"):
            split = getattr(self.data, name)
            if split is not None:
                found[name] = self._over(model, split)
        if "test" in found:
            try:
                log.write(done, "test", found["test"], seconds=seconds)
            except OSError as error:  # the model is saved
                log.warnings.append(writing.told(error))
        return found

    def _advice(self, error: loop.DivergedError) -> str:
        rate = self.settings.optimizer.learning_rate
        return (
            f"the state before that step is saved; try a learning_rate below {rate:g}, or "
            "clip_norm in [optimizer], and look at the data"
        )


def _evaluated_model(state: step.State) -> Model:
    """The parameters that are measured and saved: their average, if there is one."""
    return state.model if state.average is None else state.average
