"""The one rule of "better": whether a monitored value improves on the best so far, and when training stops
for want of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainkit.core.logs import is_validation

__all__ = ["DIRECTIONS", "KERAS_DIRECTION", "MonitorRule"]

DIRECTIONS = ("min", "max")

KERAS_DIRECTION = "_direction"  # where Keras's callbacks look whether a metric is better "up" or "down"


@dataclass(frozen=True)
class MonitorRule:
    """Which logged value is followed, and what counts as an improvement.

    `value` improves on `best` if `value < best - min_delta` (mode `min`) or `value > best + min_delta` (mode
    `max`), in float32.
    The host applies the rule after an epoch, the graph inside a call of several epochs; both call `improves`.

    Args:
        monitor: Name of a logged value, as Keras names it, e.g. `val_loss`.
        mode: `min` or `max`.
        min_delta: Smallest change that counts, >= 0.
        patience: Epochs in a row without improvement before training stops, >= 0; None: never.
    """

    monitor: str
    mode: str = "min"
    min_delta: float = 0.0
    patience: int | None = None

    def improves(self, value: Any, best: Any) -> Any:
        """Whether `value` improves on `best`: two float32 numbers, or two float32 tensors of one shape."""
        delta = np.float32(self.min_delta)
        return value < best - delta if self.mode == "min" else value > best + delta

    def out_of_patience(self, wait: Any) -> Any:
        """Whether `wait` epochs without improvement stop the training: a number, or a tensor."""
        return False if self.patience is None else wait >= max(self.patience, 1)

    @property
    def worst(self) -> np.float32:
        """The value that every other improves on: where a training begins."""
        return np.float32(np.inf if self.mode == "min" else -np.inf)

    @property
    def needs_validation(self) -> bool:
        """Whether the value exists only after an epoch that was validated."""
        return is_validation(self.monitor)
