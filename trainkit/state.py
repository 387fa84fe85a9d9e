"""What a run is at one moment, in one object, and what its observers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class State:
    """Everything that a checkpoint holds: model, optimizer, metrics, seeds, and the position in the training.

    Build model, optimizer and metrics first: the lists are fixed here. `model.variables` also has the states of the seed
    generators (dropout), which `model.weights` and `.weights.h5` files lack.

    Args:
        model: Compiled model with built optimizer and metrics.

    Attributes:
        epoch: Epochs that are complete.
        step_in_epoch: Optimizer steps done in the epoch that is not.
        step: Optimizer steps in all.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.epoch = 0
        self.step_in_epoch = 0
        self.step = 0
        self.groups: dict[str, list[tf.Variable]] = {}
        self.names: list[str] = []  # of all variables: `model/sequential/dense/kernel`
        seen: set[int] = set()
        for group, variables in (("model", model.variables), ("optimizer", model.optimizer.variables), ("metrics", model.metrics_variables)):
            fresh = [v for v in variables if id(v) not in seen]
            seen.update(id(v) for v in fresh)
            self.groups[group] = [v.value for v in fresh]
            self.names += [f"{group}/{v.path}" for v in fresh]

    @property
    def variables(self) -> list[tf.Variable]:
        return [v for group in self.groups.values() for v in group]

    @property
    def nbytes(self) -> int:
        """Bytes that the variables take on one device."""
        return sum(int(np.prod(v.shape)) * v.dtype.size for v in self.variables)

    def position(self) -> dict[str, int]:
        return {"epoch": self.epoch, "step_in_epoch": self.step_in_epoch, "step": self.step}

    def seek(self, position: Mapping[str, int]) -> None:
        self.epoch, self.step_in_epoch, self.step = (int(position[k]) for k in ("epoch", "step_in_epoch", "step"))

    def finish(self) -> None:
        """Make the average weights the weights, where the optimizer keeps an average, as `model.fit` does at its end."""
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)

    def values(self) -> list[np.ndarray]:
        """Host copies of all variables, in the order of `variables`."""
        return [v.numpy() for v in self.variables]

    def assign(self, values: Sequence[Any]) -> None:
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)


class Observer(keras.callbacks.Callback):
    """A callback that only reads `logs`.

    The trainer may run many epochs in one compiled program and tell an observer of them afterwards, in order (the model then
    already has later weights), and calls its `on_train_batch_end` a few times a second at the most. `params["record"]` holds the
    epoch's step, learning rate and times. An observer that must see the model after certain epochs says so by `due`.
    """

    def due(self, epoch: int) -> bool:
        """Whether a call of several epochs must end with `epoch` (1-based), because this observer wants the model of that moment."""
        return False


class Monitor(Observer):
    """An observer that follows one logged value, remembers the best, and is handed the state of the best epoch.

    An epoch improves on the best if `value < best - min_delta` (mode `min`) or `value > best + min_delta` (`max`), compared in
    float32, by the host after an epoch or by the graph inside a program of several epochs, with the same result. With `patience`,
    training stops after so many epochs in a row without improvement.

    Args:
        monitor: Name of a logged value, e.g. `val_loss`.
        mode: `min`, `max`, or `auto`: the trainer knows it from the metric.
        min_delta: Least change that counts, >= 0.
        patience: Epochs without improvement before training stops; None: never.

    Attributes:
        held: Values of the best epoch that a checkpoint must keep with the memory, and the number of that epoch.
    """

    def __init__(self, monitor: str, mode: str = "auto", *, min_delta: float = 0.0, patience: int | None = None) -> None:
        super().__init__()
        self.monitor, self.mode, self.min_delta, self.patience = monitor, mode, np.float32(min_delta), patience
        self.aim(mode)

    def aim(self, mode: str) -> None:
        """Settle `auto` on `min` or `max`, and forget what an earlier training left."""
        self.mode = mode if self.mode == "auto" else self.mode
        self.best = np.float32(-np.inf if self.mode == "max" else np.inf)
        self.best_epoch = 0  # 1-based; 0: none yet
        self.best_step = 0  # optimizer steps in all at the end of that epoch
        self.wait = 0
        self.held: tuple[int, list[np.ndarray]] = (0, [])

    @property
    def over(self) -> bool:
        """Whether the training ends for want of improvement."""
        return self.patience is not None and self.wait >= self.patience

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = (logs or {}).get(self.monitor)
        if value is None:
            return
        value = np.float32(value)
        better = value < self.best - self.min_delta if self.mode == "min" else value > self.best + self.min_delta
        if better:
            self.best, self.best_epoch, self.best_step, self.wait = value, epoch + 1, self.params["record"]["step"], 0
            return
        self.wait += 1
        if self.over:
            self.model.stop_training = True

    def capture(self, state: State, values: Sequence[np.ndarray] | None) -> None:
        """Called once after the epochs in which `best_epoch` advanced; `values` are all variables of the best epoch, None: as they are now."""

    def after_call(self, state: State, logs: dict[str, Any], *, final: bool = False) -> None:
        """Called when a call of the compiled program is over, with the model at `state.position()`; `final` when the training is."""

    def best_position(self) -> dict[str, int]:
        return {"epoch": self.best_epoch, "step_in_epoch": 0, "step": self.best_step}

    def memory(self) -> dict[str, float]:
        """What a checkpoint keeps of this observer."""
        return {"best": float(self.best), "best_epoch": self.best_epoch, "best_step": self.best_step, "wait": self.wait}

    def remember(self, memory: Mapping[str, Any]) -> None:
        self.best, self.best_epoch = np.float32(memory["best"]), int(memory["best_epoch"])
        self.best_step, self.wait = int(memory["best_step"]), int(memory["wait"])
        self.held = (self.best_epoch, memory["held"]) if "held" in memory else (0, [])
