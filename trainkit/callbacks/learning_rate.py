"""Small observers of a run: its opening lines on the terminal, its `status.json`, and a learning rate that was changed on resuming."""

from __future__ import annotations

from typing import Any

from trainkit.callbacks.observer import Observer


class LearningRate(Observer):
    """Sets the learning rate when a training begins, for a resumed run whose checkpoint still has the former one."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.model.optimizer.learning_rate = self.value
