"""Sets the learning rate of a resumed training."""

from __future__ import annotations

from typing import Any

from trainkit.callbacks.observer import Observer
from trainkit.config.fields import Setting
from trainkit.config.validation import check_arguments

__all__ = ["SetLearningRate"]

ARGUMENTS = {"value": Setting("", kind=float, above=0)}


class SetLearningRate(Observer):
    """Sets the learning rate when a training begins, since a checkpoint brings back the former one.

    Args:
        value: Learning rate, > 0.

    Raises:
        UserError: for another value.
    """

    def __init__(self, value: float) -> None:
        check_arguments(self, ARGUMENTS, value=value)
        super().__init__()
        self.value = value

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.model.optimizer.learning_rate = self.value
