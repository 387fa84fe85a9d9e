"""Data and labels that cannot be trained on, found before anything runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.core.tree import leaves


def check_labels(task: Task, model: keras.Model, splits: Splits, spec: Any) -> None:
    """Labels that silently broadcast or fall outside of the classes: the two classic mistakes that Keras does not report."""
    y, outputs, loss = spec[1], model.outputs or [], task.loss()
    if not isinstance(y, tf.TensorSpec) or len(outputs) != 1 or not isinstance(splits.train, Arrays):
        return
    shape, label = tuple(outputs[0].shape[1:]), tuple(y.shape)
    name = loss if isinstance(loss, str) else type(loss).__name__
    if "sparse" in name.lower():
        low, high = int(splits.train.y.min()), int(splits.train.y.max())
        if shape and (low < 0 or high >= shape[-1]):
            raise UserError(
                f"Task {task.name}: labels go from {low} to {high}, but the model has {shape[-1]} outputs, for classes 0 to {shape[-1] - 1}."
            )
    elif (
        type(task).compute is Task.compute
        and label != shape
        and label + (1,) != shape
        and label != shape + (1,)
    ):
        raise UserError(
            f"Task {task.name}: the model's output {shape} does not fit its labels {label} (a row each). "
            "Change the last layer, or use a sparse loss for integer labels."
        )


def check_rows(arrays: Arrays, name: str) -> None:
    """Refuse NaN and infinite values.

    Raises:
        UserError: with the number of rows concerned and the first of them.
    """
    for part, structure in (("x", arrays.x), ("y", arrays.y), ("weight", arrays.weight)):
        for array in leaves(structure):
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))
                raise UserError(
                    f"The {name} rows have NaN or infinite values in {part}: {len(bad)} rows, the first is row {bad[0]}. "
                    "Drop or fill them in the task's data()."
                )


def weighted(arrays: Arrays, class_weight: Any) -> Arrays:
    """Class weights folded into the row weights, as `model.fit(class_weight=…)` does."""
    if not class_weight:
        return arrays
    if arrays.weight is not None:
        raise UserError("A task gives either row weights or class_weight, not both.")
    labels = np.asarray(arrays.y)
    labels = labels.argmax(-1) if labels.ndim > 1 and labels.shape[-1] > 1 else labels.reshape(-1)
    weights = np.array([class_weight.get(int(label), 1.0) for label in np.round(labels)], np.float32)
    return replace(arrays, weight=weights)
