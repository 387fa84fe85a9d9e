"""Drives the Keras callbacks of one fit, and works out what they require of the loop."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.callbacks.callback_state import (
    load_callback_states,
    named_callbacks,
    state_of,
    unknown_states,
)
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.ended import Ended
from trainkit.callbacks.monitor import Monitor
from trainkit.callbacks.observer import Observer
from trainkit.callbacks.swapped_average import SwappedAverages
from trainkit.callbacks.weight_average import WeightAverage
from trainkit.checkpoint.train_state import TrainState
from trainkit.core.monitor import MonitorRule
from trainkit.core.run_info import EpochRecord, RunInfo

__all__ = ["CallbackList", "needs_test_batches"]

NO_LIMIT = 1 << 60
REPORT_SECONDS = 0.25  # between two reports of steps to observers
TRAIN_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
TEST_BATCH_HOOKS = ("on_test_batch_begin", "on_test_batch_end")


class CallbackList:
    """Keras callbacks, called in Keras's order with Keras's logs.

    Not by Keras's own list, which converts the logs at each call, plain numbers too: half the time of an
    epoch of 11 steps. It holds them, and gives them the model and the parameters; a list that the user made
    is used as it is.

    Args:
        callbacks: Any Keras callbacks, or a `keras.callbacks.CallbackList`.
        state: The training that they watch.
        direction: Gives `min` or `max` for a monitored value and the mode that its callback has; raises for
            one that the training does not log.
        clock: Seconds; for tests.

    Attributes:
        needs_train_batches: Whether one of them must be called at every training batch.
        needs_test_batches: Whether one of them must be called at every validation batch.
        averages: Those that swap the average weights in after each epoch.
        only_observers: Whether all of them only observe, so that several epochs may be reported at once.
        monitors: Those that follow a value.
        resumed_execution: Mode of execution of the training that is resumed; "" if none is.
        logs: Those of the last epoch.
        verbose: What Keras's callbacks find as `params["verbose"]`.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback] | keras.callbacks.CallbackList,
        state: TrainState,
        direction: Callable[[str, str], str],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.list: keras.callbacks.CallbackList | None = None
        if isinstance(callbacks, keras.callbacks.CallbackList):
            self.list = callbacks
            callbacks = callbacks.callbacks
        self.callbacks = list(callbacks)
        self.state = state
        self.clock = clock
        self.observers = [c for c in self.callbacks if isinstance(c, Observer)]
        others = [c for c in self.callbacks if not isinstance(c, (Observer, keras.callbacks.History))]
        self.monitors = [c for c in self.observers if isinstance(c, Monitor)]
        for monitor in self.monitors:
            monitor.reset(direction(monitor.monitor, monitor.mode))
        for observer in self.observers:
            if isinstance(observer, WeightAverage):
                observer.reset()
        self.averages = SwappedAverages(self.callbacks)
        self.needs_train_batches = any(_acts_on_batches(c, TRAIN_BATCH_HOOKS) for c in others)
        self.needs_test_batches = needs_test_batches(others)
        self.only_observers = not others
        self.resumed_execution = ""
        self.logs: dict[str, Any] = {}
        self._last_logs: Mapping[str, Any] = {}
        self.verbose: str | int = 0
        self._named = named_callbacks(self.callbacks)
        self._ended = Ended(self._named, state.model)
        self._resumed: Mapping[str, Any] = {}
        self._reported_at = 0.0
        self._best_epochs: list[int] = []

    # Before the training.

    def load_states(self, restored: Mapping[str, Any]) -> None:
        """Give the callbacks what a checkpoint kept of them; `restored` is what `checkpoint.store.restore`
        returned."""
        self.resumed_execution = restored.get("execution", "")
        self._resumed = restored.get("callbacks", {})
        load_callback_states(self._named, self._resumed, own=True)
        if unknown := unknown_states(self.callbacks):
            warnings.warn(
                f"{', '.join(unknown)}: what the callback remembers is not in the checkpoint; it begins "
                "anew. Give it state_dict() and load_state_dict() to keep it.",
                stacklevel=2,
            )

    def states(self) -> dict[str, Any]:
        """What a checkpoint keeps of all callbacks, by their names."""
        known = {name: state_of(callback) for name, callback in self._named.items()}
        return self._ended.state() | {name: state for name, state in known.items() if state is not None}

    @property
    def rules(self) -> tuple[MonitorRule, ...]:
        """The rules of the monitors, in their order."""
        return tuple(monitor.rule for monitor in self.monitors)

    def attach(self, info: RunInfo) -> None:
        """Make the list that calls them all, with a history; nothing is called yet."""
        self.inform(info)
        if self.list is None:
            self.list = keras.callbacks.CallbackList(
                self.callbacks,
                add_history=True,
                model=self.state.model,
                verbose=self.verbose,
                epochs=info.epochs,
                steps=info.steps_per_epoch or None,
            )
            self.averages.delay(self.list.params if self._savers() else {})
        self.state.swapped = False
        monitors = {name: c for name, c in self._named.items() if isinstance(c, Monitor)}
        for saver in self._savers():
            saver.monitors = monitors
            saver.collect = self.states
        self.state.model.stop_training = self._ended.stays(self._resumed)
        self._best_epochs = [m.best_epoch for m in self.monitors]

    def inform(self, info: RunInfo) -> None:
        """Give the observers the facts of the training."""
        for observer in self.observers:
            observer.run = info
        for saver in self._savers():
            saver.execution = info.execution

    @property
    def history(self) -> keras.callbacks.History:
        """The history of the training."""
        return self.state.model.history

    @property
    def keras(self) -> keras.callbacks.CallbackList:
        """The list of Keras, once `attach` has made it."""
        if self.list is None:
            raise RuntimeError("CallbackList.attach comes before the first event.")
        return self.list

    # Events.

    def on_train_begin(self) -> None:
        """Begin the training; then Keras's callbacks, which forget everything here, get their states back."""
        logs: dict[str, Any] = {}
        for callback in self.keras.callbacks:
            callback.on_train_begin(logs)
        load_callback_states(self._named, self._resumed, own=False)
        self.averages.go_on(self.state)

    def on_epoch_begin(self, epoch: int) -> None:
        logs: dict[str, Any] = {}
        for callback in self.keras.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch: int) -> None:
        logs: dict[str, Any] = {}
        for callback in self.keras.callbacks:
            callback.on_train_batch_begin(batch, logs=logs)

    def on_train_batches(self, batch: int, logs: dict[str, Any]) -> None:
        """`on_train_batch_end` for all if one needs every batch, else for observers now and then."""
        told: Sequence[keras.callbacks.Callback] = self.keras.callbacks
        if not self.needs_train_batches:
            if self.clock() - self._reported_at <= REPORT_SECONDS:
                return
            self._reported_at = self.clock()
            told = self.observers
        for callback in told:
            callback.on_train_batch_end(batch, logs=logs)

    def on_test_begin(self) -> None:
        logs: dict[str, Any] = {}
        for callback in self.keras.callbacks:
            callback.on_test_begin(logs)

    def on_test_batch_begin(self, batch: int) -> None:
        logs: dict[str, Any] = {}
        for callback in self.keras.callbacks:
            callback.on_test_batch_begin(batch, logs=logs)

    def on_test_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        for callback in self.keras.callbacks:
            callback.on_test_batch_end(batch, logs=logs)

    def on_test_end(self, logs: Mapping[str, Any]) -> None:
        """What a callback writes into these logs, the next ones see, but not the epoch."""
        shared = dict(sorted(logs.items()))
        for callback in self.keras.callbacks:
            callback.on_test_end(shared)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any], record: EpochRecord) -> None:
        """One logs dict goes through all callbacks: what one writes into it, the next ones and the history
        see."""
        for observer in self.observers:
            observer.record = record
        self._last_logs = logs
        self.logs = dict(logs)
        for callback in self.keras.callbacks:
            callback.on_epoch_end(epoch, self.logs)
        self.after_epoch(epoch)

    def after_epoch(self, epoch: int) -> None:
        """Note the states of all callbacks as they are after the best epoch so far."""
        for saver in self._savers():
            if saver.best_epoch == epoch + 1:
                saver.best_states = self.states()

    def on_train_end(self) -> None:
        """With the logs of the last epoch as they were before callbacks wrote into them, as Keras does."""
        logs = dict(self._last_logs)
        for callback in self.keras.callbacks:
            callback.on_train_end(logs)

    def on_failure(self) -> None:
        """Tell the observers that the training ends by an error."""
        for observer in self.observers:
            observer.on_failure()

    # What the loop asks and tells between calls.

    def due(self, epoch: int) -> bool:
        """Whether somebody wants the model as it is after this epoch (1-based)."""
        return any(observer.due(epoch) for observer in self.observers)

    def steps_until_due(self, step: int) -> int:
        """Steps after optimizer step `step` with which a call must end, since somebody wants the model then;
        a large number if nobody does."""
        wanted = [observer.next_step(step) for observer in self.observers]
        return min([n - step for n in wanted if n is not None], default=NO_LIMIT)

    def capture_best(self, snapshots: Sequence[Sequence[tf.Variable]] = ()) -> None:
        """Hand the state of their best epoch to the monitors that found one.

        Args:
            snapshots: Those that the graph kept, one per monitor; empty: the model is as it was after the
                best epoch.
        """
        # Savers come last: they keep what the others hold.
        for i, monitor in sorted(enumerate(self.monitors), key=lambda pair: isinstance(pair[1], Checkpoints)):
            if monitor.best_epoch != self._best_epochs[i]:
                self._best_epochs[i] = monitor.best_epoch
                values = [np.asarray(v) for v in snapshots[i]] if snapshots else None
                monitor.on_new_best(self.state, values)

    def after_call(self, *, final: bool = False) -> None:
        """Tell the monitors that a call of the compiled program is over."""
        for monitor in self.monitors:
            monitor.after_call(self.state, self.logs, final=final)
        if final:
            self.averages.finish(self.state)

    def close(self) -> None:
        """Wait until all that was saved is on the disk."""
        for saver in self._savers():
            saver.writer.close()

    def _savers(self) -> list[Checkpoints]:
        return [m for m in self.monitors if isinstance(m, Checkpoints)]


def needs_test_batches(callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    """Whether a callback must be called at every batch of an evaluation."""
    return any(_acts_on_batches(c, TEST_BATCH_HOOKS) for c in callbacks)


def _acts_on_batches(callback: keras.callbacks.Callback, hooks: Sequence[str]) -> bool:
    """Whether a callback must be called at every batch; savers that act once per epoch need not."""
    overridden = any(_overrides(callback, name) for name in hooks)
    return overridden and getattr(callback, "save_freq", None) != "epoch"


def _overrides(callback: keras.callbacks.Callback, name: str) -> bool:
    """Whether a callback has a hook of its own, of its class or set on the instance."""
    return name in vars(callback) or getattr(type(callback), name) is not getattr(
        keras.callbacks.Callback, name
    )
