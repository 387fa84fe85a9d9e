"""Early stopping that the graph can decide, so that it does not cost a host round trip an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainkit.config import EarlyStoppingConfig
from trainkit.state import Monitor, State


class EarlyStopping(Monitor):
    """Stop when `monitor` has not improved by `min_delta` for `patience` epochs; then put the best epoch's weights back if asked.

    Args:
        config: Settings; `monitor` None means `monitor` below.
        monitor: The task's monitored value.
    """

    def __init__(self, config: EarlyStoppingConfig, monitor: str) -> None:
        super().__init__(config.monitor or monitor, config.mode, min_delta=config.min_delta, patience=config.patience)
        self.restore_best_weights = config.restore_best_weights
        self._state: State | None = None
        self._kept: list[np.ndarray] = []

    def capture(self, state: State, values: Sequence[np.ndarray] | None) -> None:
        if self.restore_best_weights:
            self._state, self._kept = state, list(state.values() if values is None else values)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._state is not None:
            model = self._state.groups["model"]
            for variable, value in zip(model, self._kept[: len(model)], strict=True):
                variable.assign(value)
