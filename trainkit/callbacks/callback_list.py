"""The callbacks of one training: what they need of it, and how they are told."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import keras
import numpy as np

from trainkit.callbacks import checkpoints
from trainkit.callbacks.monitor import Monitor
from trainkit.callbacks.observer import Observer
from trainkit.config import TrainerConfig
from trainkit.core.run_info import EpochRecord, RunInfo
from trainkit.trainer.setup import Built

TELL_SECONDS = 0.25  # between two reports of steps to observers


class Audience:
    """Keras callbacks, driven in Keras's order.

    Args:
        built: The task made ready.
        config: Settings.
        callbacks: Any Keras callbacks.

    Attributes:
        hooks: Whether one of them must be called at every batch.
        observed: Whether all of them only observe, so that they can be told of several epochs at once.
        params: What all callbacks share, see `trainkit.state.Observer`.
        logs: Those of the last epoch.
    """

    def __init__(
        self, built: Built, config: TrainerConfig, callbacks: Sequence[keras.callbacks.Callback]
    ) -> None:
        self.built, self.config, self.state, self.told = built, config, built.state, list(callbacks)
        self.observers = [c for c in callbacks if isinstance(c, Observer)]
        self.monitors = [c for c in self.observers if isinstance(c, Monitor)]
        for monitor in self.monitors:
            monitor.aim(built.direction(monitor.monitor))
        self.hooks = any(needs_every_batch(c) for c in callbacks if not isinstance(c, Observer))
        deaf = [
            type(c).__name__
            for c in callbacks
            if any(overrides(c, name) for name in ("on_test_batch_begin", "on_test_batch_end"))
        ]
        if deaf and config.engine == "trainkit":
            warnings.warn(
                f"{', '.join(deaf)}: on_test_batch_* is not called, since validation runs in one piece; trainer.engine=keras calls it.",
                stacklevel=2,
            )
        self.observed = len(self.observers) == len(self.told)
        self.params: dict[str, Any] = {}
        self.logs: dict[str, float] = {}
        self.before = ""  # how the run that is resumed was executed
        self._told_at = 0.0
        self._bests: list[int] = []

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Give the monitors what a checkpoint kept of them."""
        self.before = memory.get("execution", "")
        for name, monitor in self._named().items():
            if name in memory:
                monitor.remember(memory[name])

    def gather(self, execution: str, reason: str) -> keras.callbacks.CallbackList:
        """The list that calls them all, with a history."""
        built, config = self.built, self.config
        params = {
            "epochs": config.epochs, "steps": built.steps, "verbose": 0, "initial_epoch": self.state.epoch, "task": built.task.name,
            "dataset": built.splits.source, "batch_size": built.step_rows, "rows": built.rows_per_epoch, "execution": execution, "reason": reason,
            "logged": built.logged(), "input": built.spec[0], "precision": config.precision, "strategy": built.strategy_name,
            "replicas": built.strategy.num_replicas_in_sync, "devices": built.devices, "feed": f"{built.feed_kind} ({built.feed_reason})",
            "config": asdict(config),
        }  # fmt: skip
        self.callbacks = keras.callbacks.CallbackList(
            self.told, add_history=True, model=built.model, **params
        )
        self.params = self.callbacks.params
        info = RunInfo(
            task=built.task.name,
            dataset=built.splits.source,
            epochs=config.epochs,
            initial_epoch=self.state.epoch,
            steps_per_epoch=built.steps,
            batch_size=built.step_rows,
            rows_per_epoch=built.rows_per_epoch,
            execution=execution,
            execution_reason=reason,
            logged=tuple(built.logged()),
            row_spec=built.spec[0],
            precision=config.precision,
            strategy=built.strategy_name,
            replicas=built.strategy.num_replicas_in_sync,
            devices=built.devices,
            feed=f"{built.feed_kind} ({built.feed_reason})",
            settings=asdict(config),
        )
        for observer in self.observers:
            observer.run = info
        for keeper in self._keepers():
            keeper.execution, keeper.monitors = execution, self._named()
        self.built.model.stop_training = any(m.over for m in self.monitors)
        self._bests = [m.best_epoch for m in self.monitors]
        return self.callbacks

    @property
    def history(self) -> keras.callbacks.History:
        return next(c for c in self.callbacks.callbacks if isinstance(c, keras.callbacks.History))

    def due(self, epoch: int) -> bool:
        """Whether somebody wants the model as it is after this epoch (1-based)."""
        return any(observer.due(epoch) for observer in self.observers)

    def tell_steps(self, batch: int, logs: dict[str, float]) -> None:
        """`on_train_batch_end`: for all if somebody needs every batch, else for observers a few times a second."""
        if self.hooks:
            self.callbacks.on_train_batch_end(batch, logs)
        elif time.perf_counter() - self._told_at > TELL_SECONDS:
            self._told_at = time.perf_counter()
            for observer in self.observers:
                observer.on_train_batch_end(batch, logs)

    def record(
        self, epoch: int, seconds: float, train_seconds: float, steps: int, more: Mapping[str, float]
    ) -> None:
        """Put what observers may want to know of an epoch into `params["record"]`."""
        rate = steps / max(train_seconds, 1e-9)
        more = {**more, **self.built.speed(rate)}
        self.params["record"] = {
            "epoch": epoch + 1, "step": self.state.step, "seconds": seconds, "train_seconds": train_seconds,
            "examples_per_second": rate * self.built.rows_per_step, "steps_per_second": rate, **more,
        }  # fmt: skip
        known = {f.name for f in fields(EpochRecord)}
        values = {k: v for k, v in self.params["record"].items() if k in known}
        self._share_record(EpochRecord(roofline_fraction=more.get("ceiling_share"), **values))

    def _share_record(self, record: EpochRecord) -> None:
        for observer in self.observers:
            observer.record = record

    def begin_epoch(self, epoch: int) -> None:
        for callback in self.callbacks.callbacks:
            callback.on_epoch_begin(epoch, {})

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        self.logs = logs
        if self.hooks:  # the list waits for calls of batch hooks that it made in other threads
            self.callbacks.on_epoch_end(epoch, dict(logs))
        else:  # not by the list, which first makes plain numbers of what are plain numbers: half the time of an epoch of 11 steps
            for callback in self.callbacks.callbacks:
                callback.on_epoch_end(epoch, dict(logs))
        for keeper in self._keepers():
            if keeper.best_epoch == epoch + 1:
                keeper.best_memories = keeper.memories()

    def capture(self, snapshots: Sequence[Sequence[Any]] = ()) -> None:
        """Hand the state of their best epoch to the monitors that found one; `snapshots` are those of the graph, if it kept them."""
        for i, monitor in sorted(
            enumerate(self.monitors), key=lambda pair: isinstance(pair[1], checkpoints.Checkpoints)
        ):  # they keep what others hold
            if monitor.best_epoch != self._bests[i]:
                self._bests[i] = monitor.best_epoch
                monitor.capture(self.state, [np.asarray(v) for v in snapshots[i]] if snapshots else None)

    def _keepers(self) -> list[checkpoints.Checkpoints]:
        return [m for m in self.monitors if isinstance(m, checkpoints.Checkpoints)]

    def _named(self) -> dict[str, Monitor]:
        """The monitors by the names under which a checkpoint remembers them."""
        named: dict[str, Monitor] = {}
        for monitor in self.monitors:
            kind = type(monitor).__name__
            same = sum(type(m).__name__ == kind for m in named.values())
            named[f"{kind}{same + 1}" if same else kind] = monitor
        return named

    def after_call(self, *, final: bool = False) -> None:
        for monitor in self.monitors:
            monitor.after_call(self.state, self.logs, final=final)


def needs_every_batch(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback must be called after every training step; savers that act once an epoch need not."""
    hooks = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    return (
        any(overrides(callback, name) for name in hooks) and getattr(callback, "save_freq", None) != "epoch"
    )


def overrides(callback: keras.callbacks.Callback, name: str) -> bool:
    """Whether a callback has a hook of its own."""
    return getattr(type(callback), name) is not getattr(keras.callbacks.Callback, name)
