"""What a run is at one moment, in one object, and what its observers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainkit.callbacks.observer import Observer
from trainkit.checkpoint.train_state import State


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

    def __init__(
        self, monitor: str, mode: str = "auto", *, min_delta: float = 0.0, patience: int | None = None
    ) -> None:
        super().__init__()
        self.monitor, self.mode, self.min_delta, self.patience = (
            monitor,
            mode,
            np.float32(min_delta),
            patience,
        )
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
        better = (
            value < self.best - self.min_delta if self.mode == "min" else value > self.best + self.min_delta
        )
        if better:
            self.best, self.best_epoch, self.best_step, self.wait = (
                value,
                epoch + 1,
                self.params["record"]["step"],
                0,
            )
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
        return {
            "best": float(self.best),
            "best_epoch": self.best_epoch,
            "best_step": self.best_step,
            "wait": self.wait,
        }

    def remember(self, memory: Mapping[str, Any]) -> None:
        self.best, self.best_epoch = np.float32(memory["best"]), int(memory["best_epoch"])
        self.best_step, self.wait = int(memory["best_step"]), int(memory["wait"])
        self.held = (self.best_epoch, memory["held"]) if "held" in memory else (0, [])
