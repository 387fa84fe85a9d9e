"""Labels that Keras would train on without a word, and to no purpose."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np

from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.engine.objective import own_objective
from trainkit.trainer.model_checks import ModelFacts

__all__ = ["ELEMENTWISE", "as_loss", "check_labels"]

# Losses that compare each output with a label of the same place: a label of another shape would be broadcast
# in silence.
ELEMENTWISE = (
    keras.losses.MeanSquaredError,
    keras.losses.MeanAbsoluteError,
    keras.losses.MeanAbsolutePercentageError,
    keras.losses.MeanSquaredLogarithmicError,
    keras.losses.Huber,
    keras.losses.LogCosh,
    keras.losses.BinaryCrossentropy,
    keras.losses.BinaryFocalCrossentropy,
    keras.losses.CategoricalCrossentropy,
    keras.losses.CategoricalFocalCrossentropy,
    keras.losses.CategoricalHinge,
    keras.losses.Hinge,
    keras.losses.SquaredHinge,
    keras.losses.Poisson,
    keras.losses.KLDivergence,
)


def check_labels(
    task: Task, model: keras.Model, splits: Splits, facts: ModelFacts, augmented: Arrays | None = None
) -> None:
    """Refuse labels that Keras would train on without a word, and to no purpose: broadcast, or outside of the
    classes.

    Args:
        augmented: Training rows as the task changes them, if it does.

    Raises:
        UserError: naming the shapes, or the labels and the classes.
    """
    loss = as_loss(task.loss())
    outputs = keras.tree.flatten(facts.outputs)
    single = len(outputs) == 1 and isinstance(splits.train, Arrays) and not own_objective(task)
    if not single or facts.own_train_step or not isinstance(splits.train.y, np.ndarray):
        return
    shape = tuple(outputs[0].shape[1:])
    others = {} if augmented is None else {"augmented": augmented}
    for part, arrays in (splits.in_memory() | others).items():
        if not isinstance(arrays.y, np.ndarray):
            continue
        if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
            _check_classes(task, arrays.y, shape, part, loss.ignore_class)
        elif isinstance(loss, ELEMENTWISE):
            _check_shape(task, arrays.y.shape[1:], shape)


def as_loss(loss: Any) -> Any:
    """The Keras loss that a name, or one of Keras's functions, means; other losses as they are."""
    if not isinstance(loss, str) and not inspect.isfunction(loss):
        return loss
    try:
        found = keras.losses.get(loss)
    except ValueError:
        return loss
    kinds = [
        k
        for k in (*ELEMENTWISE, keras.losses.SparseCategoricalCrossentropy)
        if getattr(k(), "fn", None) is found
    ]
    return kinds[0]() if kinds else found


def _check_classes(
    task: Task, labels: np.ndarray, shape: tuple[int | None, ...], part: str, ignored: int | None
) -> None:
    classes = shape[-1] if shape else None
    counted = labels[labels != ignored] if ignored is not None else labels
    if classes is None or not counted.size:
        return
    low = int(counted.min())
    high = int(counted.max())
    if low < 0 or high >= classes:
        raise UserError(
            f"Task {task.name}: labels go from {low} to {high} in the {part} rows, but the model has "
            f"{classes} outputs, "
            f"for classes 0 to {classes - 1}."
        )


def _check_shape(task: Task, label: tuple[int, ...], shape: tuple[int | None, ...]) -> None:
    fits = len(label) == len(shape) and all(b in (None, a) for a, b in zip(label, shape, strict=True))
    if not (fits or (*label, 1) == shape or label == (*shape, 1)):
        raise UserError(
            f"Task {task.name}: the model's output {shape} does not fit its labels {label} (per row). "
            "Change the last layer, or use a sparse loss for integer labels."
        )
