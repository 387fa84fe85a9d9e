"""Early stopping that the graph can decide, so that it costs no host round trip per epoch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainkit.callbacks.monitor import Monitor
from trainkit.checkpoint.train_state import TrainState
from trainkit.config import EarlyStoppingConfig
from trainkit.config.fields import settings_of
from trainkit.config.validation import check_arguments

__all__ = ["EarlyStopping"]


class EarlyStopping(Monitor):
    """Stops when `monitor` has not improved by `min_delta` for `patience` epochs.

    Args:
        monitor: Name of a logged value.
        patience: Epochs in a row without improvement, >= 1.
        mode: `min`, `max`, or `auto`: the metric says which.
        min_delta: Smallest change that counts, >= 0.
        restore_best_weights: Whether the model ends with the weights of the best epoch.

    Raises:
        UserError: for an argument that is impossible.

    Example:
        >>> EarlyStopping("val_loss", patience=5)
    """

    state_name = "early_stopping"

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 5,
        mode: str = "auto",
        min_delta: float = 0.0,
        restore_best_weights: bool = True,
    ) -> None:
        check_arguments(
            self,
            settings_of(EarlyStoppingConfig),
            monitor=monitor,
            patience=patience,
            mode=mode,
            min_delta=min_delta,
            restore_best_weights=restore_best_weights,
        )
        super().__init__(monitor, mode, min_delta=min_delta, patience=patience)
        self.restore_best_weights = restore_best_weights
        self._state: TrainState | None = None

    def on_new_best(self, state: TrainState, values: Sequence[np.ndarray] | None) -> None:
        if not self.restore_best_weights:
            return
        weights = state.groups["model"]  # the first of all variables
        self.best_weights = [v.numpy() for v in weights] if values is None else list(values[: len(weights)])
        self.best_weights_epoch = self.best_epoch

    def after_call(self, state: TrainState, logs: Mapping[str, Any], *, final: bool = False) -> None:
        self._state = state

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if not self.restore_best_weights or not self.best_epoch or self._state is None:
            return
        if self.best_weights_epoch != self.best_epoch:
            warnings.warn(
                "EarlyStopping: the checkpoint that was resumed does not hold the weights of the best epoch, "
                f"{self.best_epoch}; the last ones stay.",
                stacklevel=2,
            )
            return
        for variable, value in zip(self._state.groups["model"], self.best_weights, strict=True):
            variable.assign(value)
