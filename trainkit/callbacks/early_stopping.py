"""Early stopping that the graph can decide, so that it does not cost a host round trip an epoch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.callbacks.monitor import Monitor
from trainkit.checkpoint.train_state import State
from trainkit.config import EarlyStoppingConfig


class EarlyStopping(Monitor):
    """Stop when `monitor` has not improved by `min_delta` for `patience` epochs; then put the best epoch's weights back if asked.

    Args:
        config: Settings; `monitor` None means `monitor` below.
        monitor: The task's monitored value.
    """

    def __init__(self, config: EarlyStoppingConfig, monitor: str) -> None:
        super().__init__(
            config.monitor or monitor, config.mode, min_delta=config.min_delta, patience=config.patience
        )
        self.restore_best_weights = config.restore_best_weights
        self._variables: list[tf.Variable] = []

    def capture(self, state: State, values: Sequence[np.ndarray] | None) -> None:
        if self.restore_best_weights:
            weights = state.groups["model"]  # the first of all variables
            self.held = (
                self.best_epoch,
                [v.numpy() for v in weights] if values is None else list(values[: len(weights)]),
            )

    def after_call(self, state: State, logs: dict[str, Any], *, final: bool = False) -> None:
        self._variables = state.groups["model"]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if not self.restore_best_weights or not self.best_epoch:
            return
        epoch, values = self.held
        if epoch != self.best_epoch:
            text = f"EarlyStopping: the checkpoint that was resumed does not hold the weights of the best epoch, {self.best_epoch}; the last ones stay."
            warnings.warn(text, stacklevel=2)
            return
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
