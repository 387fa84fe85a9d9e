"""Steps of a model's own take a batch as a whole: what splits it is refused."""

from __future__ import annotations

import keras

from trainkit.backend import compat
from trainkit.config import TrainerConfig
from trainkit.core.errors import UserError
from trainkit.core.task import Task

__all__ = ["check_own_test_step", "check_own_train_step"]


def check_own_train_step(task: Task, model: keras.Model, config: TrainerConfig, replicas: int) -> None:
    """Refuse a `train_step` of the model's own that would have to train a batch in several parts.

    Raises:
        UserError: saying what trains it.
    """
    if config.engine == "keras" or not compat.has_own(model, "train_step"):
        return
    if config.accumulate > 1 or replicas > 1:
        what = f"trainer.accumulate={config.accumulate}" if config.accumulate > 1 else f"{replicas} replicas"
        raise UserError(
            f"{type(model).__name__} has its own train_step, which trains a batch as a whole; {what} would "
            "split it. Use one device and no trainer.accumulate or, in one process, Keras's loop: exact=True "
            "of trainkit.fit, trainer.engine=keras of a task."
        )


def check_own_test_step(task: Task, model: keras.Model, config: TrainerConfig, replicas: int) -> None:
    """Refuse to evaluate, on several replicas, a model with its own `test_step`.

    Raises:
        UserError: saying what evaluates it.
    """
    if config.engine == "trainkit" and replicas > 1 and compat.has_own(model, "test_step"):
        raise UserError(
            f"Task {task.name}: {type(model).__name__} has its own test_step, which evaluates a batch as "
            f"a whole; {replicas} replicas would split it. Use one device or, in one process, "
            "trainer.engine=keras."
        )
