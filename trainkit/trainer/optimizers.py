"""The optimizer of a training: as the settings ask, else the task's own."""

from __future__ import annotations

import copy
from typing import Any

import keras

from trainkit.config import OptimizerConfig, TrainerConfig
from trainkit.core.task import Task
from trainkit.optim import factory
from trainkit.optim.factory import GivenOptimizer
from trainkit.trainer import task_values

__all__ = ["make_optimizer"]


def make_optimizer(
    task: Task,
    config: TrainerConfig,
    optimizer: GivenOptimizer,
    steps_per_epoch: int,
) -> keras.optimizers.Optimizer:
    """The optimizer of a training: as asked, else the task's own.

    Raises:
        UserError: for settings that it does not take.
    """
    if optimizer is not None and not isinstance(optimizer, OptimizerConfig):
        return factory.in_scope(_made(optimizer))
    recipe = task_values.optimizer(task)
    if optimizer is not None:
        steps = config.epochs * steps_per_epoch
        recipe = factory.build(optimizer, recipe, min(steps, config.steps or steps))
    return factory.in_scope(recipe)


def _made(optimizer: keras.optimizers.Optimizer | str | dict[str, Any]) -> keras.optimizers.Optimizer:
    """An optimizer that was given, or a new one by its name or config, which Keras changes as it reads it."""
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    return keras.optimizers.get(copy.deepcopy(optimizer))
