"""How far a classifier's confidence is from its accuracy."""

from __future__ import annotations

from typing import Any

import keras

from trainkit.core.monitor import KERAS_DIRECTION
from trainkit.metrics.labels import class_probabilities, label_indices, row_weights

__all__ = ["CalibrationError"]

ops = keras.ops


@keras.saving.register_keras_serializable("trainkit")
class CalibrationError(keras.metrics.Metric):
    """The expected calibration error: how far confidence and accuracy are apart; from 0, the best, to 1.

    The confidence of a row is the probability of the class that it is taken for. The rows are put into `bins`
    of equal width by their confidence, and
    `error = sum over the bins of |rows found - sum of confidences| / number of rows`. Rows with a
    negative label do not count, nor do the steps of a sequence that a mask leaves out.

    Source: C. Guo et al.: On Calibration of Modern Neural Networks, arXiv:1706.04599.

    Args:
        bins: Number of bins from 0 to 1, at least 1.
        from_logits: Whether the model gives logits instead of probabilities.
        name: Of the metric.
        dtype: Of the sums.

    Raises:
        ValueError: for less than one bin.
    """

    def __init__(
        self, bins: int = 15, from_logits: bool = False, name: str = "calibration_error", dtype: Any = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        if bins < 1:
            raise ValueError(f"bins={bins}: expected a whole number of at least 1.")
        setattr(self, KERAS_DIRECTION, "down")
        self.bins = bins
        self.from_logits = from_logits
        self.rows = self.add_variable((bins,), "zeros", self.dtype, name="rows")
        self.found = self.add_variable((bins,), "zeros", self.dtype, name="found")
        self.confidence = self.add_variable((bins,), "zeros", self.dtype, name="confidence")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the rows of a batch.

        Args:
            y_true: Class numbers `[B]` or `[B, 1]`, or one-hot rows `[B, C]`; with a time axis `[B, T, ...]`.
            y_pred: Scores `[B, C]`, or `[B, 1]` of the second of two classes; with a time axis `[B, T, ...]`.
            sample_weight: None, or weights `[B]`, or `[B, T]`.
        """
        y_pred = ops.convert_to_tensor(y_pred)
        scores = class_probabilities(self._probabilities(y_pred), self.dtype)
        labels = label_indices(ops.convert_to_tensor(y_true), y_pred)
        weights = row_weights(sample_weight, labels, y_pred, self.dtype)
        classes = ops.cast(ops.argmax(scores, axis=-1), "int32")
        # Keras's max refuses batches without rows, which a replica may get.
        confidence = ops.sum(scores * ops.one_hot(classes, scores.shape[-1], dtype=self.dtype), axis=-1)
        found = ops.cast(ops.equal(classes, ops.reshape(labels, (-1,))), self.dtype)
        index = ops.clip(ops.cast(ops.floor(confidence * self.bins), "int32"), 0, self.bins - 1)
        each = ops.expand_dims(weights, -1) * ops.one_hot(index, self.bins, dtype=self.dtype)
        self.rows.assign_add(ops.sum(each, axis=0))
        self.found.assign_add(ops.sum(each * ops.expand_dims(found, -1), axis=0))
        self.confidence.assign_add(ops.sum(each * ops.expand_dims(confidence, -1), axis=0))

    def _probabilities(self, y_pred: Any) -> Any:
        if not self.from_logits:
            return y_pred
        y_pred = ops.cast(y_pred, self.dtype)
        single = len(y_pred.shape) < 2 or y_pred.shape[-1] == 1
        return ops.sigmoid(y_pred) if single else ops.softmax(y_pred, axis=-1)

    def result(self) -> Any:
        gap = ops.abs(ops.subtract(self.found, self.confidence))
        return ops.divide_no_nan(ops.sum(gap), ops.sum(self.rows))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins, "from_logits": self.from_logits}
