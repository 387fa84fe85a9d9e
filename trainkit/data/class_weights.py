"""Weights of classes, folded into the weights of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError, did_you_mean
from trainkit.data.preparation.labels import ClassLabels

__all__ = ["BALANCED", "with_class_weights"]

BALANCED = "balanced"
KEY = "task.class_weights"


def with_class_weights(train: Arrays, labels: ClassLabels, weights: Any) -> Arrays:
    """The training rows, each weighted by its class; weights that the rows have already are multiplied.

    Args:
        train: The training rows.
        labels: The classes.
        weights: `balanced`, which is `rows / (classes * rows of the class)` as in scikit-learn; a weight for
            each class by its name, 1 where there is none; or None, which changes nothing.

    Raises:
        UserError: for a class that does not exist, or a weight that is no number of at least 0.
    """
    if weights is None:
        return train
    if labels.encoding == "multi_label":
        raise UserError(f"{KEY}={weights}: a row may have several classes; weigh the rows by data.weight.")
    y = np.asarray(train.y)
    indices = y.argmax(axis=1) if labels.encoding == "one_hot" else y
    if weights == BALANCED:
        counts = np.bincount(indices, minlength=len(labels.classes))
        each = len(indices) / (len(counts) * np.maximum(counts, 1))
    else:
        each = _given(labels, weights)
    own = np.ones(len(indices)) if train.weight is None else np.asarray(train.weight)
    return replace(train, weight=(own * each[indices]).astype(np.float32)).numbered(train.numbers)


def _given(labels: ClassLabels, weights: Any) -> np.ndarray:
    if not isinstance(weights, Mapping):
        raise UserError(f"{KEY}={weights}: expected {BALANCED}, or a weight per class: {{yes: 2, no: 1}}.")
    by_name = {str(name): weight for name, weight in weights.items()}
    for name, weight in by_name.items():
        if name not in labels.classes:
            raise UserError(f"{KEY}: there is no class {name!r}; {did_you_mean(name, labels.classes)}")
        if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not 0 <= weight < np.inf:
            raise UserError(f"{KEY}.{name}={weight}: expected a number of at least 0.")
    return np.array([by_name.get(name, 1.0) for name in labels.classes])
