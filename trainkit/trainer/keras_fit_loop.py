"""The same training through `model.fit`: Keras's own loop on the same batches, for comparison."""

from __future__ import annotations

import time
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend.precision import loss_scale
from trainkit.callbacks.callback_list import Audience
from trainkit.checkpoint import store
from trainkit.config import TrainerConfig
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.data import order
from trainkit.engine.inputs import Stream
from trainkit.trainer.execution import Choice
from trainkit.trainer.setup import Built


class KerasLoop:
    """One `fit` by `model.fit`; stands in for `trainkit.fit.HostLoop`. It stops, and resumes, at the ends of epochs only.

    Args:
        built: The task made ready.
        config: Settings. `execution` ending in `_xla` means `jit_compile=True`.
        callbacks: Any Keras callbacks.
        stop_reason: Gives a reason once somebody wants the training to stop.

    Raises:
        UserError: for settings that `model.fit` has not.
    """

    def __init__(
        self,
        built: Built,
        config: TrainerConfig,
        callbacks: Sequence[keras.callbacks.Callback],
        stop_reason: Callable[[], str | None],
    ) -> None:
        if config.steps is not None:
            raise UserError(
                "trainer.engine=keras trains whole epochs; use trainer.epochs and trainer.limit_train_batches instead of trainer.steps."
            )
        self.built, self.config, self.state, self.stop_reason = built, config, built.state, stop_reason
        self.audience = Audience(built, config, callbacks)
        xla = config.execution.endswith("_xla")
        self.choice = Choice(
            None, "model.fit, jit_compile=True" if xla else "model.fit", "trainer.engine=keras", 0.0
        )
        self.seconds = {"total": 0.0, "compile": 0.0, "train": 0.0, "validate": 0.0}
        self.steps_run = 0
        built.model.jit_compile = xla

    def run(self, resume: Path | str | None = None) -> keras.callbacks.History:
        """Restore if asked, hand over to `model.fit`, and return the history."""
        built, config, state = self.built, self.config, self.state
        if resume is not None:
            self.audience.remember(store.restore(state, resume))
            if state.step_in_epoch:
                raise UserError(
                    f"Checkpoint {resume} is in the middle of an epoch, where model.fit cannot begin; resume it with trainer.engine=trainkit."
                )
        callbacks = self.audience.gather(self.choice.execution, self.choice.reason)
        callbacks.callbacks.insert(0, _Position(self))
        callbacks.callbacks.append(_Close(self))
        with_keras_steps(built.task, built.model)
        stream = Stream(built.train, built.step_rows)
        orders = _Orders(config.seed, built.rows, built.rows_per_epoch, range(state.epoch, config.epochs))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*shuffle=True.*")  # the batches come shuffled
            if built.model.stop_training:  # which fit would forget
                callbacks.on_train_begin()
                self.audience.after_call(final=True)
                callbacks.on_train_end()
            else:
                self._fit(
                    stream.dataset(orders, 0).repeat(), callbacks
                )  # repeated: under a strategy, fit reads on after the last batch
        return self.audience.history

    def _fit(self, dataset: tf.data.Dataset, callbacks: keras.callbacks.CallbackList) -> None:
        built, config, validation = self.built, self.config, self.built.splits.validation
        built.model.fit(
            dataset,
            epochs=config.epochs,
            initial_epoch=self.state.epoch,
            steps_per_epoch=built.steps,
            validation_data=validation.batch() if validation is not None else None,
            validation_batch_size=min(config.batch_size, len(validation)) if validation is not None else None,
            validation_freq=config.validate_every,
            callbacks=callbacks,
            verbose=0,
        )

    def throughput(self) -> dict[str, float]:
        seconds = max(self.seconds["train"], 1e-9)
        rate = self.steps_run / seconds
        return {
            "examples_per_second": rate * self.built.rows_per_step,
            "steps_per_second": rate,
            **self.built.speed(rate),
        }

    def bound(self) -> dict[str, Any]:
        """Not known: `model.fit` does not show where its time goes."""
        return {}


@dataclass(frozen=True)
class _Orders:
    """The row orders of the epochs, from the first on each time they are asked for: `fit` opens its data more than once."""

    seed: int
    rows: int
    used: int
    epochs: range

    def __iter__(self) -> Iterator[np.ndarray]:
        return (order.order(self.seed, epoch, self.rows)[: self.used] for epoch in self.epochs)


class _Position(keras.callbacks.Callback):
    """First of all callbacks: keeps position, times and record, which the others read."""

    def __init__(self, loop: KerasLoop) -> None:
        super().__init__()
        self.loop = loop
        self._begun = self._tested = self._validation = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begun, self._validation = time.perf_counter(), 0.0

    def on_test_begin(self, logs: Any = None) -> None:
        self._tested = time.perf_counter()

    def on_test_end(self, logs: Any = None) -> None:
        self._validation = time.perf_counter() - self._tested

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loop, state = self.loop, self.loop.state
        seconds = time.perf_counter() - self._begun
        state.epoch, state.step = epoch + 1, state.step + loop.built.steps
        loop.steps_run += loop.built.steps
        loop.seconds["train"] += seconds - self._validation
        loop.seconds["validate"] += self._validation
        optimizer = loop.built.model.optimizer
        number = lambda value: float(keras.ops.convert_to_numpy(value))  # noqa: E731
        more = {"learning_rate": number(optimizer.learning_rate)}
        scaled = loss_scale(optimizer)
        if scaled is not None:
            more.update(
                loss_scale=number(scaled.dynamic_scale),
                skipped_steps=state.step - int(number(scaled.iterations)),
            )
        loop.audience.record(epoch, seconds, seconds - self._validation, loop.built.steps, more)
        loop.audience.logs = dict(logs or {})


class _Close(keras.callbacks.Callback):
    """Last of all callbacks: saves what is to be saved, and ends the training if somebody wants it."""

    def __init__(self, loop: KerasLoop) -> None:
        super().__init__()
        self.loop = loop

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.loop.audience.capture()
        last = (
            self.loop.built.model.stop_training
            or epoch + 1 == self.loop.config.epochs
            or self.loop.stop_reason() is not None
        )
        self.loop.audience.after_call()
        if last:
            self.loop.audience.after_call(final=True)
            self.loop.built.model.stop_training = True


def with_keras_steps(task: Task, model: keras.Model) -> None:
    """Give the model Keras's own steps around the task's `compute`, where the task overrides it."""
    if type(task).compute is Task.compute:
        return

    def train_step(self: keras.Model, data: Any) -> Any:
        with tf.GradientTape() as tape:
            loss, outputs = task.compute(self, data, training=True)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, self.trainable_weights), self.trainable_weights)
        return _measure(self, data, loss, outputs)

    def test_step(self: keras.Model, data: Any) -> Any:
        return _measure(self, data, *task.compute(self, data, training=False))

    model.train_step = types.MethodType(train_step, model)
    model.test_step = types.MethodType(test_step, model)


def _measure(model: keras.Model, data: Any, loss: Any, outputs: Any) -> Any:
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    model._loss_tracker.update_state(loss, sample_weight=tf.shape(tf.nest.flatten(x)[0])[0])
    return model.compute_metrics(x, y, outputs, sample_weight=weight)
