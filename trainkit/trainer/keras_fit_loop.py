"""The same training through `model.fit`: Keras's own loop on the same batches, for comparison."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend.compat.callbacks import initial_epoch
from trainkit.backend.patches import patched
from trainkit.backend.precision import inner_optimizer, learning_rate, loss_scale
from trainkit.callbacks.callback_list import CallbackList
from trainkit.callbacks.callback_state import load_callback_states, named_callbacks
from trainkit.checkpoint import store
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.core.logs import EpochLogs, split_logs
from trainkit.core.tree import map_leaves
from trainkit.engine.train_step import task_steps
from trainkit.trainer.execution import Choice
from trainkit.trainer.keras_dataset import TEXT, batches_for_keras
from trainkit.trainer.loop import StepCost, epoch_record, run_info, seek_backup
from trainkit.trainer.mid_epoch import MidEpoch
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.sources import arrays_source
from trainkit.trainer.timing import FitTimes

__all__ = ["KerasFitLoop", "evaluated_by_keras"]


def evaluated_by_keras(
    setup: TrainSetup, rows: Arrays, callbacks: Sequence[keras.callbacks.Callback]
) -> dict[str, Any]:
    """Loss and metrics over rows, by `model.evaluate`."""
    batches = _once(setup, rows, min(setup.config.batch_size, len(rows)))
    with patched([*task_steps(setup.task, setup.model), *setup.model_replacements()]):
        found = setup.model.evaluate(batches, callbacks=list(callbacks), verbose=0, return_dict=True)
    return {name: float(value) for name, value in found.items()}


def _once(setup: TrainSetup, rows: Arrays, batch: int) -> tf.data.Dataset:
    """The batches of rows, in their order; Keras, which is told how many, counts none too often."""
    batches = batches_for_keras(arrays_source(rows, setup.strategy, None), batch, len(rows), lambda: range(1))
    return batches.apply(tf.data.experimental.assert_cardinality(-(-len(rows) // batch)))


class KerasFitLoop:
    """One fit by `model.fit`, in the place of `FitLoop`. It stops, and resumes, at the ends of epochs only.

    Args:
        setup: The task made ready. `trainer.execution` ending in `_xla` means `jit_compile=True`.
        callbacks: Any Keras callbacks.
        stop_reason: Gives a reason once somebody wants the training to stop.
        cost: What a step costs, if known.
    """

    def __init__(
        self,
        setup: TrainSetup,
        callbacks: CallbackList,
        stop_reason: Callable[[], str | None],
        cost: StepCost | None = None,
    ) -> None:
        self.setup = setup
        self.callbacks = callbacks
        self.stop_reason = stop_reason
        self.cost = cost or StepCost()
        self.state = setup.state
        self.times = FitTimes()
        self.mid_epoch = MidEpoch(setup, callbacks)
        self.ended = False  # by a callback
        self.resumed: Mapping[str, Any] = {}  # what a checkpoint kept of the callbacks
        self.xla = setup.config.execution.endswith("_xla")
        name = "model.fit, jit_compile=True" if self.xla else "model.fit"
        self.choice = Choice(name, "trainer.engine=keras")

    def run(self, resume: Path | str | None = None) -> keras.callbacks.History:
        """Restore if asked, hand over to `model.fit`, and return the history."""
        setup = self.setup
        if resume is not None:
            restored = store.restore(self.state, resume)
            self.resumed = restored["callbacks"]
            self.callbacks.load_states(restored)
            setup.source.resume(self.state.epoch, 0, setup.shape.rows)
        self.callbacks.attach(run_info(setup, self.choice))
        self.callbacks.keras.callbacks.insert(0, _Position(self))
        self.callbacks.keras.callbacks.append(_Close(self))
        if setup.model.stop_training:  # which fit would forget
            self.ended = True
            self.callbacks.on_train_begin()
            self.mid_epoch.keep_end(self.choice.execution)
            self.callbacks.on_train_end()
            self.mid_epoch.end()
            return self.callbacks.history
        setup.model.jit_compile = self.xla
        with (
            warnings.catch_warnings(),
            patched([*task_steps(setup.task, setup.model), *setup.model_replacements()]),
        ):
            warnings.filterwarnings("ignore", message=".*shuffle=True.*")  # the batches come shuffled
            self._fit()
        setup.model.stop_training = self.ended
        self.mid_epoch.end()
        self.callbacks.close()
        return self.callbacks.history

    def _fit(self) -> None:
        setup, config = self.setup, self.setup.config
        validation = setup.splits.validation
        batch = setup.validation_batch if validation is not None else None
        setup.model.fit(
            self._dataset(),
            epochs=config.epochs,
            initial_epoch=self.state.epoch,
            steps_per_epoch=setup.shape.steps,
            validation_data=self._validation(batch),
            validation_batch_size=batch if setup.validates_in_graph else None,
            validation_freq=config.validate_every,
            callbacks=self.callbacks.keras,
            verbose=0,
        )

    def _validation(self, batch: int | None) -> Any:
        """The validation rows as arrays, or batch by batch if they are not to be held in memory."""
        setup = self.setup
        rows = setup.splits.validation
        if rows is None or batch is None or setup.validates_in_graph:
            return map_leaves(_text_as_tensor, rows.batch()) if rows is not None else None
        return _once(setup, rows, batch)

    def _dataset(self) -> tf.data.Dataset:
        config, shape = self.setup.config, self.setup.shape

        def epochs() -> range:
            return range(initial_epoch(self.setup.model) or self.state.epoch, config.epochs)

        batches = batches_for_keras(self.setup.source, shape.step_rows, shape.rows, epochs)
        return batches.repeat()  # under a strategy, fit reads on after the last batch


def _text_as_tensor(array: Any) -> Any:
    """The same rows; Keras takes text of any shape as a tensor alone."""
    return tf.constant(array) if array.dtype.kind in TEXT else array


class _Position(keras.callbacks.Callback):
    """First of all callbacks: keeps position, times and record, which the others read."""

    def __init__(self, loop: KerasFitLoop) -> None:
        super().__init__()
        self.loop = loop
        self._epoch_began = 0.0
        self._test_began = 0.0
        self._validation = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch != self.loop.state.epoch:
            seek_backup(self.loop.setup)
        self._epoch_began = time.perf_counter()
        self._validation = 0.0

    def on_test_begin(self, logs: Any = None) -> None:
        self._test_began = time.perf_counter()

    def on_test_end(self, logs: Any = None) -> None:
        self._validation = time.perf_counter() - self._test_began

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loop = self.loop
        steps = loop.setup.shape.steps
        seconds = time.perf_counter() - self._epoch_began
        loop.state.idle = False
        loop.state.seek({"epoch": epoch + 1, "step_in_epoch": 0, "step": loop.state.step + steps})
        loop.times.trained(seconds - self._validation, steps, loop.setup.shape.rows)
        loop.times.validate += self._validation
        record = epoch_record(
            loop.setup,
            _epoch_logs(loop.setup.model, logs or {}),
            loop.cost,
            epoch=epoch + 1,
            seconds=seconds,
            train_seconds=seconds - self._validation,
            steps=steps,
            rows=loop.setup.shape.rows,
        )
        for observer in loop.callbacks.observers:
            observer.record = record
        loop.callbacks.logs = dict(logs or {})
        loss = (logs or {}).get("loss", 0.0)
        if loop.setup.config.on_nonfinite == "stop" and record.loss_scale is None and not math.isfinite(loss):
            raise UserError(
                f"The loss of epoch {epoch + 1} is {loss}. trainer.engine=trainkit names the step; lower "
                "optimizer.learning_rate, or clip gradients (optimizer.clip.global_norm=1)."
            )


class _Close(keras.callbacks.Callback):
    """Last of all callbacks: gives those of Keras, which have forgotten everything, their states back; saves
    what is to be saved, and ends the training if somebody wants it."""

    def __init__(self, loop: KerasFitLoop) -> None:
        super().__init__()
        self.loop = loop

    def on_train_begin(self, logs: Any = None) -> None:
        load_callback_states(named_callbacks(self.loop.callbacks.callbacks), self.loop.resumed, own=False)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loop = self.loop
        loop.callbacks.after_epoch(epoch)
        loop.callbacks.capture_best()
        done = epoch + 1 == loop.setup.config.epochs
        loop.ended = bool(loop.setup.model.stop_training)
        last = loop.ended or done or loop.stop_reason() is not None
        loop.callbacks.after_call()
        if last:
            loop.mid_epoch.keep_end(loop.choice.execution)
            loop.setup.model.stop_training = True


def _epoch_logs(model: keras.Model, logs: dict[str, float]) -> EpochLogs:
    train, validation = split_logs(logs)
    known = learning_rate(model.optimizer)
    rate = None if known is None else _number(known)
    scaled = loss_scale(model.optimizer)
    if scaled is None:
        return EpochLogs(train=train, validation=validation, learning_rate=rate)
    return EpochLogs(
        train=train,
        validation=validation,
        learning_rate=rate,
        loss_scale=_number(scaled.dynamic_scale),
        applied_updates=int(_number(inner_optimizer(scaled).iterations)),
    )


def _number(value: Any) -> float:
    return float(keras.ops.convert_to_numpy(value))
