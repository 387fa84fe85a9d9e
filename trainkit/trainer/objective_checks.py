"""Mistakes of a task's own `compute` that one symbolic batch shows before anything runs."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.engine.objective import computed, own_objective
from trainkit.trainer.model_checks import traced

__all__ = ["check_objective"]


def check_objective(task: Task, model: keras.Model, spec: Any, rows: int) -> None:
    """Refuse a `compute` whose loss moves no weight, or whose outputs are of other rows than the labels.

    Args:
        task: The task.
        model: Compiled and built.
        spec: Structure `(x[, y[, weight]])` of `tf.TensorSpec` of one row.
        rows: Of a batch.

    Raises:
        UserError: saying what `compute` has to return.
    """
    if not own_objective(task) or compat.has_own(model, "train_step"):
        return
    moves = True
    given: set[int] = set()

    def measured(*batch: Any) -> Any:
        nonlocal moves
        x, y, weight = (*batch, None, None)[:3]
        with tf.GradientTape() as tape:
            loss, outputs = computed(task, model, batch, training=True)
        moves = _moves(tape, loss, model)
        given.update(o.shape[0] for o in keras.tree.flatten(outputs) if tf.is_tensor(o) and o.shape.rank)
        return model.compute_metrics(x, y, outputs, sample_weight=weight)

    fails = ""
    try:
        traced(measured, spec, rows)
    except UserError:
        raise
    except Exception as error:  # whatever the user's metrics raise; other errors come with the first step
        fails = str(error)
    if not moves:
        raise UserError(
            f"Task {task.name}: compute() returned a loss that depends on no weight of the model; expected "
            "one that is computed from model(x) by operations that have gradients."
        )
    if fails and given - {rows, None}:
        other = ", ".join(str(count) for count in sorted(given - {rows, None}))
        raise UserError(
            f"Task {task.name}: compute() returned outputs of {other} rows for a batch of {rows}; expected a "
            "row for each of the batch, as the metrics compare them with y."
        )


def _moves(tape: tf.GradientTape, loss: Any, model: keras.Model) -> bool:
    """Whether a weight has a gradient; also where that cannot be told before the first step."""
    if not model.trainable_weights:
        return True
    try:
        gradients = tape.gradient(loss, model.trainable_weights)
    except Exception:  # as on replicas, whose variables have no gradient outside of a step
        return True
    return any(gradient is not None for gradient in gradients)
