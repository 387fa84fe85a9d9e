"""What all tasks of your own data that name classes share: loss, metrics, and how predictions read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from trainkit.config.fields import setting
from trainkit.core.task import Task
from trainkit.data.preparation.labels import ClassLabels
from trainkit.metrics.by_name import class_loss, class_metrics

__all__ = ["Classification", "class_scores"]


def class_scores(x: Any, labels: ClassLabels) -> Any:
    """Features `[B, K]` to a probability per class `[B, C]`, which add up to 1 unless a row may have several
    classes. Kept in float32 in mixed precision."""
    activation = "sigmoid" if labels.encoding == "multi_label" else "softmax"
    return layers.Activation(activation, dtype="float32", name="scores")(x)


@dataclass(frozen=True)
class Classification(Task):
    """A task whose labels are classes by name. The model gives a probability per class.

    Args:
        loss_function: Name of a Keras loss, or `{name: ..., argument: value}`; None: the crossentropy.
        scores: Metrics by name, or `{name: ..., argument: value}`; see `trainkit.metrics.by_name`.
        class_weights: None, `balanced`, or a weight per class.
    """

    loss_function: Any = None
    scores: tuple[Any, ...] | list[Any] = setting(
        ("accuracy", "f1"), "metrics, by name or {name: f1, average: weighted}", example="[accuracy,f1]"
    )
    class_weights: Any = None

    @property
    @abstractmethod
    def labels(self) -> ClassLabels:
        """The classes."""

    def loss(self) -> keras.losses.Loss:
        return class_loss(self.loss_function, self.labels.encoding)

    def metrics(self) -> list[keras.metrics.Metric]:
        return class_metrics(self.scores, self.labels.classes, self.labels.encoding)

    def class_names(self) -> Sequence[str]:
        return self.labels.classes

    def output_names(self) -> Sequence[str]:
        return [f"probability_{name}" for name in self.labels.classes]

    def decode(self, values: np.ndarray) -> list[str]:
        """Class names of labels or scores."""
        values = np.asarray(values)
        if np.issubdtype(values.dtype, np.integer) and values.ndim == 1:
            return [self.labels.classes[i] for i in values]
        return self.labels.decode(values)
