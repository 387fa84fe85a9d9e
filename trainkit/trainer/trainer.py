"""The trainer: the loop on the host around the compiled program, and evaluation, prediction and checkpoints of the same state."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras

from trainkit.checkpoint import store
from trainkit.checkpoint.train_state import State
from trainkit.config import OptimizerConfig, TrainerConfig
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.task import Task
from trainkit.distributed.agreement import Agreement
from trainkit.engine.evaluation import evaluator
from trainkit.engine.inputs import Resident
from trainkit.trainer import setup
from trainkit.trainer.fit_loop import HostLoop
from trainkit.trainer.keras_fit_loop import KerasLoop
from trainkit.trainer.setup import Built

STOP_SIGNALS = ("SIGINT", "SIGTERM")


class Trainer:
    """Trains tasks: `Trainer(epochs=5, batch_size=64).fit(MNIST())`.

    Args:
        config: Settings; or give them as keywords, the fields of `TrainerConfig`.
        optimizer: Settings or a Keras optimizer that override the task's own; None: the task's.
        callbacks: Keras callbacks that watch every `fit`.

    Raises:
        UserError: for a setting that does not exist.

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
        optimizer: OptimizerConfig | keras.optimizers.Optimizer | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        **settings: Any,
    ) -> None:
        known = [f.name for f in fields(TrainerConfig)]
        for name in settings:
            if name not in known:
                raise UserError(f"Trainer has no setting {name!r}; {did_you_mean(name, known)}")
        self.config = config or TrainerConfig(**settings)
        self.optimizer = optimizer
        self.callbacks = list(callbacks)
        self.built: Built | None = None
        self.loop: HostLoop | KerasLoop | None = None
        self.stopped: str | None = None
        self._stop_reason: str | None = None
        self._agreement: Agreement | None = None

    # What a run is made of, once `prepare` has run.

    @property
    def model(self) -> keras.Model:
        return self._built().model

    @property
    def state(self) -> State:
        return self._built().state

    @property
    def splits(self) -> Splits:
        return self._built().splits

    @property
    def execution(self) -> str:
        """The mode that was chosen; before `fit`, the one that was asked for."""
        return self.loop.choice.execution if self.loop else self.config.execution

    @property
    def execution_reason(self) -> str:
        return self.loop.choice.reason if self.loop else ""

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of the last `fit`: total, compile, train, validate."""
        return (
            dict(self.loop.seconds)
            if self.loop
            else {"total": 0.0, "compile": 0.0, "train": 0.0, "validate": 0.0}
        )

    @property
    def throughput(self) -> dict[str, float]:
        """Rows and optimizer steps a second of training, without compilation and validation."""
        return self.loop.throughput() if self.loop else {"examples_per_second": 0.0, "steps_per_second": 0.0}

    @property
    def bound(self) -> dict[str, Any]:
        """What the speed of the last `fit` hung on: `by` is `input`, `host` or `device`; empty if that is not known."""
        return self.loop.bound() if self.loop else {}

    def _built(self) -> Built:
        if self.built is None:
            raise UserError(
                "The trainer has no task yet; call fit(task), or evaluate(task) and predict(task) with one."
            )
        return self.built

    def prepare(self, task: Task, *, data: Splits | None = None) -> Built:
        """Load the data, build model, optimizer and metrics, and check that they fit each other, before anything is trained.

        Raises:
            UserError: for data, settings or a model that cannot be trained.
        """
        self.built = setup.build(task, self.config, self.optimizer, data)
        return self.built

    def request_stop(self, reason: str) -> None:
        """Ask a running `fit` to stop at the next safe point, with its state saved; safe to call from a signal handler.

        Args:
            reason: `SIGINT` or `SIGTERM` on several workers, which all stop when one is asked; else any word.
        """
        self._stop_reason = reason

    def _stopping(self) -> str | None:
        """Why the training should stop, as far as anybody asked for it."""
        if self.stopped is None:
            self.stopped = self._agreement(self._stop_reason) if self._agreement else self._stop_reason
        return self.stopped

    def fit(
        self, task: Task, *, data: Splits | None = None, resume: Path | str | None = None
    ) -> keras.callbacks.History:
        """Train `task`.

            build model, optimizer, metrics under precision and strategy
            restore if asked
            while epochs remain and nobody asked to stop:
                run as many epochs, or steps of one, as the callbacks allow in one call
                validate if due; tell the callbacks; save

        Args:
            task: What to train.
            data: Rows to use instead of `task.data()`.
            resume: Checkpoint folder to continue from, up to `epochs` in all.

        Returns:
            The history, as Keras's: `history.history["val_loss"]` is a list of one value an epoch.
        """
        begin = time.perf_counter()
        known = self.built
        if (
            known is None
            or known.task is not task
            or data is not None
            or (known.trained and (known.config != self.config or self.config.engine == "keras"))
        ):
            self.prepare(task, data=data)
        elif known.trained:
            known.afresh()
        built, self.stopped = self._built(), None
        built.trained = True
        self._agreement = Agreement(built.strategy, STOP_SIGNALS) if built.lockstep else None
        with built.strategy.scope():
            loop = KerasLoop if self.config.engine == "keras" else HostLoop
            self.loop = loop(built, self.config, self.callbacks, self._stopping)
            history = self.loop.run(resume)
        self.loop.seconds["total"] = time.perf_counter() - begin
        self._stop_reason = None
        return history

    def evaluate(
        self, task: Task | None = None, *, split: str = "test", checkpoint: Path | str | None = None
    ) -> dict[str, float]:
        """Loss and metrics over all rows of a split, each counted once.

        Args:
            task: Default: the task that was trained.
            split: `train`, `validation` or `test`.
            checkpoint: Folder of a checkpoint to evaluate instead of the current state.

        Raises:
            UserError: if the task has no such split.
        """
        built = self._ready(task, checkpoint)
        arrays = built.arrays(split)
        with built.strategy.scope():
            if split not in built.evaluators:
                feed = Resident(arrays, built.strategy)
                built.evaluators[split] = evaluator(built.step, built.strategy, feed, xla=False)
            return built.evaluators[split]()

    def predict(
        self,
        task: Task | None = None,
        *,
        x: Any = None,
        split: str = "test",
        checkpoint: Path | str | None = None,
    ) -> Any:
        """The model's outputs `[N, ...]` for all rows of a split, or for `x`, on one device.

        Args:
            task: Default: the task that was trained.
            x: Rows `[N, ...]` to use instead of a split's.
            split: `train`, `validation` or `test`.
            checkpoint: Folder of a checkpoint to use instead of the current state.
        """
        built = self._ready(task, checkpoint)
        rows = built.arrays(split).x if x is None else x
        return built.predict(rows, self.config.batch_size)

    def save_checkpoint(self, path: Path | str) -> Path:
        """Write the whole state as the folder `path`, atomically."""
        return store.save(self.state, path)

    def restore(self, path: Path | str) -> dict[str, Any]:
        """Put the state of the checkpoint folder `path` back; returns what it remembers of its observers."""
        return store.restore(self.state, path)

    def _ready(self, task: Task | None, folder: Path | str | None) -> Built:
        if task is not None and (self.built is None or self.built.task is not task):
            self.prepare(task)
        if folder is not None:
            self.restore(folder)
            self.state.finish()
        return self._built()
