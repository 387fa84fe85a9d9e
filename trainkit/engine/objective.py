"""What a task's own `compute` returns, as the steps take it."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.core.errors import UserError
from trainkit.core.task import Task

__all__ = ["computed", "own_objective"]


def own_objective(task: Task) -> bool:
    """Whether a task overrides `compute`."""
    return type(task).compute is not Task.compute


def computed(task: Task, model: keras.Model, batch: Any, training: bool) -> tuple[Any, Any]:
    """Loss and outputs of a batch by the task's `compute`.

    Raises:
        UserError: for anything but a loss that is a floating number in the graph, and outputs.
    """
    returned = task.compute(model, batch, training=training)
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        several = f" of {len(returned)}" if isinstance(returned, (tuple, list)) else ""
        what = "a tensor" if tf.is_tensor(returned) else f"{type(returned).__name__}{several}"
        raise UserError(
            f"Task {task.name}: compute() returned {what}; expected (loss, outputs): the number to be "
            "minimised, and what the metrics compare with y."
        )
    loss, outputs = returned
    if not tf.is_tensor(loss) or not loss.dtype.is_floating:
        what = f"dtype {loss.dtype.name}" if tf.is_tensor(loss) else f"type {type(loss).__name__}"
        raise UserError(
            f"Task {task.name}: compute() returned a loss of {what}; expected a tensor of one floating "
            "number that is computed from the model's outputs or weights."
        )
    if outputs is None and compat.given_metrics(model):
        raise UserError(
            f"Task {task.name}: compute() returned None for the outputs; expected what the metrics compare "
            "with y, as model(x) gives it."
        )
    return loss, outputs
