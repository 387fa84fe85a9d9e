"""Refuses rows and labels that cannot be trained on, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.core.tree import leaves

__all__ = ["check_labels", "check_rows", "weighted"]


def check_labels(task: Task, model: keras.Model, splits: Splits, spec: Any) -> None:
    """Refuse labels that broadcast against the outputs or name no class: mistakes that Keras does not report.

    Args:
        task: The task, for its loss.
        model: The built model; nothing is checked for one with several outputs.
        splits: The rows; nothing is checked unless the training rows are arrays.
        spec: One row as a structure `(x, y[, weight])` of `tf.TensorSpec`.

    Raises:
        UserError: if the labels cannot be meant for this model.
    """
    y = spec[1]
    outputs = model.outputs or []
    if not isinstance(y, tf.TensorSpec) or len(outputs) != 1 or not isinstance(splits.train, Arrays):
        return
    output_shape = tuple(outputs[0].shape[1:])
    loss = task.loss()
    loss_name = loss if isinstance(loss, str) else type(loss).__name__
    if "sparse" in loss_name.lower():
        _check_classes(task, output_shape, splits.train.y)
    elif type(task).compute is Task.compute and not _shapes_agree(output_shape, tuple(y.shape)):
        raise UserError(
            f"Task {task.name}: the model's output {output_shape} does not fit its labels {tuple(y.shape)} "
            "(shapes per row). Change the last layer, or use a sparse loss for integer labels."
        )


def _check_classes(task: Task, output_shape: tuple[int | None, ...], labels: Any) -> None:
    """Refuse integer labels outside of the classes that the model has outputs for."""
    if not output_shape or output_shape[-1] is None:
        return
    classes = output_shape[-1]
    low = int(labels.min())
    high = int(labels.max())
    if low < 0 or high >= classes:
        raise UserError(
            f"Task {task.name}: labels go from {low} to {high}, but the model has {classes} outputs, "
            f"for classes 0 to {classes - 1}."
        )


def _shapes_agree(output: tuple[int | None, ...], label: tuple[int | None, ...]) -> bool:
    """Whether the shapes per row are equal but for a last axis of size 1."""
    return label == output or (*label, 1) == output or label == (*output, 1)


def check_rows(arrays: Arrays, name: str) -> None:
    """Refuse NaN and infinite values.

    Args:
        arrays: The rows.
        name: Of the split, for the message.

    Raises:
        UserError: with the number of rows concerned and the first of them.
    """
    for part, structure in (("x", arrays.x), ("y", arrays.y), ("weight", arrays.weight)):
        for array in leaves(structure):
            if not np.issubdtype(array.dtype, np.floating) or np.isfinite(array).all():
                continue
            bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
            raise UserError(
                f"The {name} rows have NaN or infinite values in {part}: {len(bad)} rows, "
                f"the first is row {bad[0]}. Drop or fill them in the task's data()."
            )


def weighted(arrays: Arrays, class_weight: Mapping[int, float] | None) -> Arrays:
    """Fold class weights into the row weights, as `model.fit(class_weight=...)` does.

    Args:
        arrays: Rows with integer labels `[N]` or `[N, 1]`, or one-hot labels `[N, C]`.
        class_weight: Weight of each class; a class that is not named weighs 1. None changes nothing.

    Raises:
        UserError: if the rows have weights of their own.
    """
    if not class_weight:
        return arrays
    if arrays.weight is not None:
        raise UserError("A task gives either row weights or class_weight, not both.")
    labels = np.asarray(arrays.y)
    one_hot = labels.ndim > 1 and labels.shape[-1] > 1
    classes = labels.argmax(axis=-1) if one_hot else np.round(labels.reshape(-1))
    weights = np.array([class_weight.get(int(label), 1.0) for label in classes], np.float32)
    return replace(arrays, weight=weights)
