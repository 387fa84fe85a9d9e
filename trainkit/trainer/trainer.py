"""The trainer: trains, evaluates and predicts tasks, and keeps what they share."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Unpack

import keras
import numpy as np

from trainkit.backend.generators import kept_generators
from trainkit.callbacks.callback_list import CallbackList
from trainkit.checkpoint import store
from trainkit.config import PROGRESS, OptimizerConfig, TrainerConfig, TrainerSettings
from trainkit.config.validation import validate_section
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.task import Task
from trainkit.distributed.agreement import Agreement
from trainkit.trainer import inference, states
from trainkit.trainer.assembly import ONE_AT_A_TIME
from trainkit.trainer.fit_loop import FitLoop
from trainkit.trainer.given_data import GivenData
from trainkit.trainer.given_objects import (
    as_callbacks,
    as_checkpoint,
    as_data,
    as_optimizer,
    as_path,
    as_task,
    check_callbacks,
    nearest_setting,
)
from trainkit.trainer.keras_fit_loop import KerasFitLoop
from trainkit.trainer.program_cache import ProgramCache, made_ready
from trainkit.trainer.resumed import check_resumed
from trainkit.trainer.run_files import RunFiles, progress_display
from trainkit.trainer.run_summary import ended_finite
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.trainer_view import TrainerView

__all__ = ["Trainer"]

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Trainer(TrainerView):
    """Trains tasks: `Trainer(epochs=5, batch_size=64).fit(MNIST())`.

    Args:
        config: Settings; or give them as keywords, the fields of `TrainerConfig`.
        optimizer: Settings, or a Keras optimizer or its name, in place of the task's own; None: the task's.
            On several devices an optimizer is made again there, and the given one stays as it is.
        callbacks: Keras callbacks that watch every `fit`.
        run_dir: Folder for what the command leaves of a run: metrics.csv, plots, checkpoints, status,
            summary.
        progress: `auto`, `rich`, `plain` or `none`: what is shown while it trains.
        **settings: Fields of `TrainerConfig`.

    Raises:
        UserError: for a setting that does not exist, or a value that is impossible.

    Example:
        >>> trainer = Trainer(epochs=5, batch_size=64)
        >>> history = trainer.fit(MNIST())
        >>> trainer.evaluate()
        {'loss': 0.07, 'accuracy': 0.98}
    """

    def __init__(
        self,
        config: TrainerConfig | None = None,
        *,
        optimizer: OptimizerConfig | keras.optimizers.Optimizer | str | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | keras.callbacks.Callback | None = (),
        run_dir: Path | str | None = None,
        progress: str = "none",
        **settings: Unpack[TrainerSettings],
    ) -> None:
        known = [f.name for f in fields(TrainerConfig)]
        for name in settings:
            if name not in known:
                raise UserError(f"Trainer has no setting {name!r}; {nearest_setting(name, known)}")
        if config is not None and settings:
            raise UserError(f"Trainer got a config and also {', '.join(settings)}; give one of both.")
        plain: Any = {k: v.item() if isinstance(v, np.generic) else v for k, v in settings.items()}
        self.config = config or TrainerConfig(**plain)
        validate_section(self.config, "trainer")
        self.optimizer = as_optimizer(optimizer)
        if isinstance(self.optimizer, OptimizerConfig):
            validate_section(self.optimizer, "optimizer")
        self.callbacks = as_callbacks(callbacks)
        if progress not in PROGRESS:
            raise UserError(f"progress={progress}: unknown; {did_you_mean(progress, PROGRESS)}")
        self.run_dir = None if run_dir is None else as_path("run_dir", run_dir)
        self.progress = progress
        self.told_changes: Collection[str] = ()  # settings of which `fit` need not say that they changed
        super().__init__()
        self._trained = False
        self._given = GivenData()
        self._stop_reason: str | None = None
        self._agreement: Agreement | None = None

    def prepare(self, task: Task, *, data: Splits | None = None, by: Any = made_ready) -> TrainSetup:
        """Load the data, build model, optimizer and metrics, and check that they fit each other; nothing is
        trained.

        Args:
            task: What to train.
            data: Rows to use in place of `task.data()`, also by the next fits of the task.
            by: What makes the task ready, and lends programs: `made_ready`, or a pool's `setup`.

        Raises:
            UserError: for data, settings or a model that cannot be trained.
        """
        with kept_generators():
            self._setup, self._cache = by(as_task(task), self.config, self.optimizer, as_data(data))
        self._made_with = self.optimizer
        self._given.keep(task, data)
        self._trained = False
        return self._setup

    def request_stop(self, reason: str) -> None:
        """Ask a running `fit` to stop at the next safe point, with its state saved; safe to call from a
        signal handler.

        Args:
            reason: `SIGINT`, `SIGTERM` or `SIGHUP` on several workers, which all stop when one is asked;
                else any word.
        """
        self._stop_reason = reason

    def fit(
        self, task: Task, *, data: Splits | None = None, resume: Path | str | None = None
    ) -> keras.callbacks.History:
        """Train `task`.

            build model, optimizer, metrics under precision and strategy
            restore if asked
            while epochs remain and nobody asked to stop:
                run the epoch in as few graph calls as its callbacks allow
                validate if due; tell the callbacks; save

        Args:
            task: What to train.
            data: Rows to use in place of `task.data()`, also by the next fits of the task.
            resume: Checkpoint folder, or run directory, to continue from, up to `epochs` in all; `last` or
                `best`: that of `run_dir`.

        Returns:
            The history, as Keras's: `history.history["val_loss"]` has one value per epoch.

        Raises:
            UserError: for data, settings or a model that cannot be trained.
        """
        begin = time.perf_counter()
        resume = as_checkpoint(resume, self.run_dir)
        with kept_generators():
            setup, cache = self._fresh(task, data)
            check_callbacks(self.callbacks, setup)
            if resume is not None:
                check_resumed(setup, resume, self.callbacks, self.told_changes)
            self.stopped = None
            self._trained = True
            self._agreement = Agreement(setup.strategy, STOP_SIGNALS) if setup.in_lockstep else None
            shown = progress_display(self.progress)
            if self.run_dir is None:
                return self._run(setup, cache, [*self.callbacks, *shown], resume, begin)
            run = RunFiles(self.run_dir, setup, resumed=resume)
            with run.open(self.report) as values:
                history = self._run(setup, cache, [*self.callbacks, *run.callbacks(), *shown], resume, begin)
                values.update(history.history)
            return history

    def _run(
        self,
        setup: TrainSetup,
        cache: ProgramCache,
        observed: Sequence[keras.callbacks.Callback],
        resume: Path | str | None,
        begin: float,
    ) -> keras.callbacks.History:
        with setup.strategy.scope():
            callbacks = CallbackList(observed, setup.state, setup.direction)
            callbacks.averages.reset()
            if self.config.engine == "keras":
                self._loop = KerasFitLoop(setup, callbacks, self._asked_to_stop, self.step_cost)
            else:
                self._loop = FitLoop(setup, cache, callbacks, self._asked_to_stop, self.step_cost)
            try:
                history = self._loop.run(resume)
            except BaseException:
                callbacks.on_failure()
                raise
        self._loop.times.total = time.perf_counter() - begin
        self._finite = ended_finite(setup, history.history)
        self._stop_reason = None
        return history

    def evaluate(
        self, task: Task | None = None, *, split: str = "test", checkpoint: Path | str | None = None
    ) -> dict[str, Any]:
        """Loss and metrics over all rows of a split, each counted once.

        Args:
            task: Default: the task that was trained.
            split: `train`, `validation` or `test`.
            checkpoint: Folder of a checkpoint to evaluate in place of the current state; or as for `fit`.

        Raises:
            UserError: if the task has no such split.
        """
        setup, cache = self._ready(task)
        setup.arrays(split)
        xla, fast = self._mode(cache)
        folder = as_checkpoint(checkpoint, self.run_dir)
        with states.of_checkpoint(setup.state, folder), setup.strategy.scope():
            return inference.evaluate(cache, split, self.callbacks, xla=xla, fast=fast)

    def predict(
        self,
        x: Any = None,
        *,
        task: Task | None = None,
        split: str = "test",
        checkpoint: Path | str | None = None,
    ) -> Any:
        """The model's outputs for `x`, or for all rows of a split, on one device.

        Args:
            x: Rows `[N, ...]`, structures of them, a Dataset, PyDataset or generator; or the task; default:
                the rows of the split.
            task: Default: the task that was trained.
            split: `train`, `validation` or `test`.
            checkpoint: Folder of a checkpoint to use in place of the current state; or as for `fit`.

        Returns:
            Outputs `[N, ...]` in the structure in which the model returns them.

        Raises:
            UserError: for rows that do not fit the model, or a split that the task does not have.
        """
        if isinstance(x, Task):
            task, x = x, None
        setup, cache = self._ready(task)
        rows = setup.arrays(split).x if x is None else x
        with states.of_checkpoint(setup.state, as_checkpoint(checkpoint, self.run_dir)):
            xla, _ = self._mode(cache)
            return inference.predict(cache, rows, self.config.batch_size, self.callbacks, xla=xla)

    def save_checkpoint(self, path: Path | str) -> Path:
        """Write the whole state, before callbacks put the best weights or others in place at the end, as the
        folder `path`, atomically, so that `fit(resume=path)` goes on from it.

        Args:
            path: A new or empty folder, or one of a checkpoint, which is replaced.

        Raises:
            UserError: if the folder holds something else, or cannot be written.
        """
        return states.save(self.setup, self._loop if self._trained else None, as_path("path", path))

    def restore(self, path: Path | str) -> Mapping[str, Any]:
        """Put the state of the checkpoint folder `path` back; returns what it keeps of its callbacks, by
        name."""
        return dict(store.restore(self.state, as_path("path", path))["callbacks"])

    def _fresh(self, task: Task, data: Splits | None) -> tuple[TrainSetup, ProgramCache]:
        """A setup of the task before any training: the one that was prepared, or that of the last fit, put
        back to its start, if no setting changed."""
        known, given = self._setup, self._given
        if known is None or known.task is not task or data is not None:
            self.prepare(task, data=given.of(task) if data is None else data)
        elif known.config != self.config or self._made_with is not self.optimizer:
            self.prepare(task, data=given.again(task, self._trained and known.source.shuffled))
        elif self._trained and not known.can_begin_again:
            self.prepare(task, data=given.again(task, known.source.shuffled))
        elif self._trained:
            known.rewind()
        with ONE_AT_A_TIME:
            if self.setup.generators is not None:
                self.setup.generators.put()
        return self._ready(None)

    def _ready(self, task: Task | None) -> tuple[TrainSetup, ProgramCache]:
        if task is not None and (self._setup is None or self._setup.task is not task):
            self.prepare(task, data=self._given.of(task))
        setup = self.setup
        if self._cache is None:
            self._cache = ProgramCache(setup)
        return setup, self._cache

    def _asked_to_stop(self) -> str | None:
        """Why the training should stop, if anybody asked for it."""
        if self.stopped is None:
            self.stopped = self._agreement(self._stop_reason) if self._agreement else self._stop_reason
        return self.stopped
