"""What a trial trains: everything that its settings decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trainkit.config import EarlyStoppingConfig, OptimizerConfig, TrainerConfig
from trainkit.core.datasets import Splits
from trainkit.core.task import Task

__all__ = ["Candidate"]


@dataclass(frozen=True)
class Candidate:
    """A training with one choice of settings.

    Args:
        task: What to train.
        trainer: How to train it.
        optimizer: Settings in place of the task's own optimizer.
        early_stopping: When to stop for want of improvement.
        data: Rows to use in place of `task.data()`.
        callbacks: Makes further Keras callbacks, fresh ones for each training.
        files: Texts to keep in the trial's run directory, by name.
    """

    task: Task
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    data: Splits | None = None
    callbacks: Callable[[], list[Any]] = list
    files: Mapping[str, str] = field(default_factory=dict)
