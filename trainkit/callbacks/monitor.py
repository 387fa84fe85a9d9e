"""An observer that follows one logged value and is handed the state of the best epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from trainkit.callbacks.observer import Observer
from trainkit.checkpoint.train_state import TrainState
from trainkit.core.logs import validation_name
from trainkit.core.monitor import MonitorRule

__all__ = ["Monitor"]


class Monitor(Observer):
    """Follows one logged value by the rule of `core.monitor`, and remembers the best.

    The host applies the rule after an epoch, or the graph inside a call of several epochs, with the same
    result.

    Args:
        monitor: Name of a logged value, e.g. `val_loss`.
        mode: `min`, `max`, or `auto`: the metric says which.
        min_delta: Smallest change that counts, >= 0.
        patience: Epochs without improvement before training stops; None: never.

    Attributes:
        rule: What counts as better; settled when a training begins.
        best: Best value so far.
        best_epoch: Its epoch, from 1; 0: none yet.
        best_step: Optimizer steps in all at the end of that epoch.
        wait: Epochs without improvement since.
        best_weights: Values that belong to the best epoch, if this monitor keeps any.
    """

    state_name = "monitor"

    def __init__(
        self, monitor: str, mode: str = "auto", *, min_delta: float = 0.0, patience: int | None = None
    ) -> None:
        super().__init__()
        self.mode = mode
        self.rule = MonitorRule(monitor, "min" if mode == "auto" else mode, min_delta, patience)
        self.reset(self.rule.mode)

    @property
    def monitor(self) -> str:
        """Name of the value that is followed."""
        return self.rule.monitor

    def reset(self, direction: str) -> None:
        """Forget an earlier training; `direction` is used for mode `auto`."""
        self.rule = replace(self.rule, mode=direction if self.mode == "auto" else self.mode)
        self.best = self.rule.worst
        self.best_epoch = 0
        self.best_step = 0
        self.wait = 0
        self.best_weights: list[np.ndarray] = []
        self.best_weights_epoch = 0

    @property
    def out_of_patience(self) -> bool:
        """Whether the training ends for want of improvement."""
        return bool(self.rule.out_of_patience(self.wait))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None:
            return
        # An epoch whose loss is not finite is no best one, whatever its accuracy.
        finite = all(np.isfinite(logs.get(name, 0.0)) for name in ("loss", validation_name("loss")))
        number = np.float32(value if finite else np.nan)
        if self.rule.improves(number, self.best):
            self.best = number
            self.best_epoch = epoch + 1
            self.best_step = self.record.step
            self.wait = 0
            return
        self.wait += 1
        if self.out_of_patience:
            self.model.stop_training = True

    def on_new_best(self, state: TrainState, values: Sequence[np.ndarray] | None) -> None:
        """Called once after the epochs in which the best epoch advanced.

        Args:
            state: The training.
            values: All variables as they were after the best epoch; None: as they are now.
        """

    def after_call(self, state: TrainState, logs: Mapping[str, Any], *, final: bool = False) -> None:
        """Called when a call of the compiled program is over, with the model at `state.position()`.

        Args:
            state: The training.
            logs: Those of the last epoch.
            final: Whether the training is over.
        """

    def best_position(self) -> dict[str, int]:
        """Position of the training at the end of the best epoch."""
        return {"epoch": self.best_epoch, "step_in_epoch": 0, "step": self.best_step}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this monitor."""
        state: dict[str, Any] = {
            "best": float(self.best),
            "best_epoch": self.best_epoch,
            "best_step": self.best_step,
            "wait": self.wait,
        }
        if self.best_weights and self.best_weights_epoch == self.best_epoch:
            state["best_weights"] = list(self.best_weights)
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of a checkpoint."""
        self.best = np.float32(state["best"])
        self.best_epoch = int(state["best_epoch"])
        self.best_step = int(state["best_step"])
        self.wait = int(state["wait"])
        self.best_weights = list(state.get("best_weights", []))
        self.best_weights_epoch = self.best_epoch if self.best_weights else 0
