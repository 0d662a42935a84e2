"""The steps of a run: when it trains, evaluates, saves, reports and stops."""

import functools
import pathlib
from typing import Any

import jax
from jax.sharding import Mesh
from rich.console import Console

from jlstm.files import writing
from jlstm.train import devices, ending, evaluating, loop, saving, step
from jlstm.train.best import Best
from jlstm.train.data import batches
from jlstm.train.data.split import Data, Stream
from jlstm.train.optimizer import transformation
from jlstm.train.runs import (
    checkpoints,
    curves,
    folder,
    metrics,
    processes,
    progress,
    stopping,
    summary,
)
from jlstm.train.runs.clock import Clock
from jlstm.train.settings import Settings


class Training:
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
        self.evaluator = evaluating.Evaluator(settings, mesh)
        self.file = saving.ModelFile(settings, data, place, mesh)
        rows = own.batch_size if isinstance(data.train, Stream) else None
        self.new_state = functools.partial(
            step.new_state,
            config=config,
            task=task,
            optimizer=self.optimizer,
            average=average is not None,
            batch_size=rows,
        )

    def try_model(self) -> None:
        """Raises before training the errors that saving the model after it would raise."""
        self.file.try_save(jax.eval_shape(self.new_state, self.key).model)

    def run(self, resume: bool, silent: bool, stop: stopping.Stop) -> ending.Outcome:
        """Trains to the last step, or until `stop` asks, and measures the saved model."""
        own, saved = self.settings.train, self.place / folder.CHECKPOINTS
        state = devices.made(self.mesh, self.new_state, jax.random.fold_in(self.key, 2**32 - 1))
        best, start = Best(evaluating.evaluated_model(state)), 0
        if not silent and processes.is_first():
            Console(stderr=True).print(summary.table(state.model))
        found = checkpoints.restore(saved, self._saved(state, best)) if resume else None
        if found is not None:
            self.file.require_same_data()
            state, start = found.state.state, found.step
            model = found.state.best
            if model is None:
                model = evaluating.evaluated_model(state)
            best = Best(model, **found.notes)
            if best.value is not None:
                self.file.save(best.model)  # the file may be of a step that is not made any more
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
                    stopped = ending.why_stopped(self.settings, update.step, best, stop)
                    if stopped or self._due(update.step, own.between_saves):
                        writer.save(update.step, self._saved(state, best), best.notes())
                    if stopped:
                        break
            except loop.DivergedError as error:
                writer.save(error.step - 1, self._saved(error.state, best), best.notes())
                writer.wait()
                raise ValueError(f"{error}; {ending.advice(self.settings)}") from None
            if self.data.valid is None or best.value is None:
                best.step = int(state.step)
                self.file.save(evaluating.evaluated_model(state))
            writer.wait()  # after the model, which a disk may have room for
            measured = self._measured(int(state.step), log, clock.now())
        if processes.is_first():
            log.warnings += curves.try_draw(self.place)
        return ending.Outcome(
            self.place,
            int(state.step),
            best.step,
            measured,
            clock.now(),
            stop.exit_code if stopped else 0,
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
            place=functools.partial(
                devices.placed, self.mesh, batch_size=own.batch_size, stacked=True
            ),
        )

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
        model = evaluating.evaluated_model(update.state)
        found = self.evaluator.metrics(model, self.data.valid)
        log.write(update.step, "valid", found, seconds=clock.now())
        metric = self.settings.train.metric or "loss"
        if best.update(model, update.step, found[metric], metric):
            self.file.save(model)
        shown.say(f"step {update.step}: validation {progress.words(found)}")

    def _saved(self, state: step.State, best: Best) -> saving.Saved:
        """What a checkpoint holds beside the notes."""
        return saving.Saved(state, None if self.data.valid is None else best.model)

    def _measured(self, done: int, log: Any, seconds: float) -> dict[str, dict[str, float]]:
        """The metrics of the saved model."""
        found = self.evaluator.by_split(self.file.load(), self.data)
        if "test" in found:
            try:
                log.write(done, "test", found["test"], seconds=seconds)
            except OSError as error:  # the model is saved
                log.warnings.append(writing.told(error))
        return found
