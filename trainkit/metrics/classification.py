"""Metrics of classes that Keras lacks, for integer labels as for one-hot ones."""

from __future__ import annotations

from typing import Any

import keras

from trainkit.core.monitor import KERAS_DIRECTION
from trainkit.metrics.labels import class_probabilities, label_indices, row_weights

__all__ = ["F1", "BalancedAccuracy", "ClassAUC", "Precision", "Recall"]

AVERAGES = ("macro", "micro", "weighted")

ops = keras.ops


class ClassCounts(keras.metrics.Metric):
    """What the rows of each class add up to: base of the metrics that are made of these counts.

    The predicted class is the one with the highest score; where the model gives one score per row, the second
    of two classes if it is above `threshold`. Rows with a negative label do not count, nor do the steps of a
    sequence that a mask leaves out.

    Args:
        threshold: Score above which a single score means the second class: 0.5 for probabilities, 0.0 for
            logits.
        name: Of the metric.
        dtype: Of the counts.
    """

    def __init__(self, threshold: float = 0.5, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype=dtype, name=name)
        setattr(self, KERAS_DIRECTION, "up")
        self.threshold = threshold
        self.hits: Any = None  # sum of weights of the rows whose class was found, [C]
        self.predicted: Any = None  # of the rows that were taken for each class, [C]
        self.actual: Any = None  # of the rows that belong to each class, [C]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the rows of a batch.

        Args:
            y_true: Class numbers `[B]` or `[B, 1]`, or one-hot rows `[B, C]`; with a time axis `[B, T, ...]`.
            y_pred: Scores `[B, C]`, or `[B, 1]` of the second of two classes; with a time axis `[B, T, ...]`.
            sample_weight: None, or weights `[B]`, or `[B, T]`.
        """
        y_true = ops.convert_to_tensor(y_true)
        y_pred = ops.convert_to_tensor(y_pred)
        scores = class_probabilities(y_pred, self.dtype)
        classes = scores.shape[-1]
        if self.hits is None:
            self._add_counts(classes)
        labels = label_indices(y_true, y_pred)
        weights = ops.expand_dims(row_weights(sample_weight, labels, y_pred, self.dtype), -1)
        single = len(y_pred.shape) < 2 or y_pred.shape[-1] == 1
        found = scores[:, 1] > self.threshold if single else ops.argmax(scores, axis=-1)
        actual = ops.one_hot(ops.reshape(labels, (-1,)), classes, dtype=self.dtype)
        predicted = weights * ops.one_hot(ops.cast(found, "int32"), classes, dtype=self.dtype)
        self.hits.assign_add(ops.sum(actual * predicted, axis=0))
        self.predicted.assign_add(ops.sum(predicted, axis=0))
        self.actual.assign_add(ops.sum(weights * actual, axis=0))

    def _add_counts(self, classes: int) -> None:
        self.hits = self.add_variable((classes,), "zeros", self.dtype, name="hits")
        self.predicted = self.add_variable((classes,), "zeros", self.dtype, name="predicted")
        self.actual = self.add_variable((classes,), "zeros", self.dtype, name="actual")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}


@keras.saving.register_keras_serializable("trainkit")
class BalancedAccuracy(ClassCounts):
    """The mean recall of the classes that have rows.

    The same as scikit-learn's `balanced_accuracy_score`: classes that are rare count as much as frequent
    ones.

    Args:
        threshold: See `ClassCounts`.
        name: Of the metric.
        dtype: Of the counts.
    """

    def __init__(self, threshold: float = 0.5, name: str = "balanced_accuracy", dtype: Any = None) -> None:
        super().__init__(threshold, name, dtype)

    def result(self) -> Any:
        if self.hits is None:
            return ops.zeros((), self.dtype)
        recall = ops.divide_no_nan(self.hits, self.actual)
        present = ops.cast(ops.greater(self.actual, 0), self.dtype)
        return ops.divide_no_nan(ops.sum(recall), ops.sum(present))


class AveragedOverClasses(ClassCounts):
    """A share of rows of each class, averaged over the classes: base of precision, recall and F1.

    Like scikit-learn's scores with `zero_division=0`. Unlike Keras's metrics of these names it takes integer
    labels and models with one score, and leaves classes that neither occur nor are predicted out of the mean.

    Args:
        average: `macro`: the mean over the classes; `weighted`: each class counts by its rows; `micro`: of
            the sums over all classes, which is the accuracy.
        class_id: Only this class instead of an average; None: all.
        threshold: See `ClassCounts`.
        name: Of the metric; None: `<short name>_<average>`, or `<short name>_class_<class_id>`.
        dtype: Of the counts.

    Raises:
        ValueError: for an unknown average, or a class that there is not.
    """

    short_name = ""

    def __init__(
        self,
        average: str = "macro",
        class_id: int | None = None,
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if average not in AVERAGES:
            raise ValueError(f"average={average!r}: expected one of {', '.join(AVERAGES)}.")
        default = (
            f"{self.short_name}_{average}" if class_id is None else f"{self.short_name}_class_{class_id}"
        )
        super().__init__(threshold, name or default, dtype)
        self.average = average
        self.class_id = class_id

    def _parts(self) -> tuple[Any, Any]:
        """Numerator and denominator of each class `[C]`."""
        raise NotImplementedError

    def _add_counts(self, classes: int) -> None:
        if self.class_id is not None and not 0 <= self.class_id < classes:
            raise ValueError(f"class_id={self.class_id}: expected 0 to {classes - 1}, the model's classes.")
        super()._add_counts(classes)

    def result(self) -> Any:
        if self.hits is None:
            return ops.zeros((), self.dtype)
        above, below = self._parts()
        each = ops.divide_no_nan(above, below)
        if self.class_id is not None:
            return each[self.class_id]
        if self.average == "micro":
            return ops.divide_no_nan(ops.sum(above), ops.sum(below))
        if self.average == "weighted":
            return ops.divide_no_nan(ops.sum(each * self.actual), ops.sum(self.actual))
        occurs = ops.cast(ops.greater(ops.add(self.predicted, self.actual), 0), self.dtype)
        return ops.divide_no_nan(ops.sum(each), ops.sum(occurs))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "average": self.average, "class_id": self.class_id}


@keras.saving.register_keras_serializable("trainkit")
class F1(AveragedOverClasses):
    """The harmonic mean of precision and recall, `2 hits / (predicted + actual)`, of each class, averaged.

    For rows with several labels at a time use `keras.metrics.F1Score(threshold=...)`.

    Args: those of `AveragedOverClasses`.
    """

    short_name = "f1"

    def _parts(self) -> tuple[Any, Any]:
        return 2.0 * ops.convert_to_tensor(self.hits), ops.add(self.predicted, self.actual)


@keras.saving.register_keras_serializable("trainkit")
class Precision(AveragedOverClasses):
    """Of the rows that are taken for a class, the share that belongs to it, averaged over the classes.

    Args: those of `AveragedOverClasses`.
    """

    short_name = "precision"

    def _parts(self) -> tuple[Any, Any]:
        return ops.convert_to_tensor(self.hits), ops.convert_to_tensor(self.predicted)


@keras.saving.register_keras_serializable("trainkit")
class Recall(AveragedOverClasses):
    """Of the rows of a class, the share that is taken for it, averaged over the classes.

    Args: those of `AveragedOverClasses`.
    """

    short_name = "recall"

    def _parts(self) -> tuple[Any, Any]:
        return ops.convert_to_tensor(self.hits), ops.convert_to_tensor(self.actual)


@keras.saving.register_keras_serializable("trainkit")
class ClassAUC(keras.metrics.AUC):
    """The area under the ROC or the precision-recall curve, for integer labels as for one-hot ones.

    Of several classes each is told from all others, and the areas are averaged; of two classes the second is
    told from the first.

    Args:
        classes: Number of classes.
        curve: `ROC` or `PR`.
        num_thresholds: Points of the curve.
        name: Of the metric.
        dtype: Of the counts.
    """

    def __init__(
        self,
        classes: int,
        curve: str = "ROC",
        num_thresholds: int = 200,
        name: str = "auc",
        dtype: Any = None,
    ) -> None:
        several = {"multi_label": True, "num_labels": classes} if classes > 2 else {}
        super().__init__(num_thresholds=num_thresholds, curve=curve, name=name, dtype=dtype, **several)
        self.classes = classes

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the rows of a batch, as `ClassCounts.update_state` does."""
        y_true = ops.convert_to_tensor(y_true)
        y_pred = ops.convert_to_tensor(y_pred)
        scores = class_probabilities(y_pred, self.dtype)
        labels = label_indices(y_true, y_pred)
        weights = row_weights(sample_weight, labels, y_pred, self.dtype)
        labels = ops.reshape(labels, (-1,))
        if self.classes == 2:
            super().update_state(labels, scores[:, 1], weights)
        else:
            super().update_state(ops.one_hot(labels, self.classes), scores, weights)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {
            "classes": self.classes,
            **{key: config[key] for key in ("curve", "num_thresholds", "name", "dtype")},
        }
