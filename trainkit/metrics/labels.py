"""Labels, scores and weights in one form, whichever of Keras's forms they came in."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["class_probabilities", "label_indices", "row_weights"]

ops = keras.ops


def label_indices(y_true: Any, scores: Any) -> Any:
    """Labels as class numbers int32, without an axis of classes: `[B]`, or `[B, T]` for sequences.

    Args:
        y_true: Class numbers `[B]` or `[B, 1]`, or one-hot rows `[B, C]`; `[B, T, ...]` for sequences.
        scores: What the model gave for these labels; its rank tells class numbers from one-hot rows.
    """
    if len(y_true.shape) > 1 and len(y_true.shape) >= len(scores.shape):
        y_true = y_true[..., 0] if y_true.shape[-1] == 1 else ops.argmax(y_true, axis=-1)
    return ops.cast(y_true, "int32")


def class_probabilities(scores: Any, dtype: str) -> Any:
    """Scores as rows of one column per class, `[N, C]`.

    Args:
        scores: `[..., C]`; or `[..., 1]` or `[N]`, the probability of the second of two classes.
        dtype: Of the result.
    """
    scores = ops.cast(scores, dtype)
    if len(scores.shape) > 1 and scores.shape[-1] != 1:
        return ops.reshape(scores, (-1, scores.shape[-1]))
    second = ops.reshape(scores, (-1, 1))
    return ops.concatenate([1.0 - second, second], axis=-1)


class Unmasked(keras.losses.Loss):
    """1 for each label, and 0 for those that the mask of the scores leaves out, as Keras masks a loss."""

    def __init__(self, dtype: str) -> None:
        super().__init__(name="unmasked", reduction=None, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.ones_like(y_true)


def row_weights(sample_weight: Any, labels: Any, scores: Any, dtype: str) -> Any:
    """A weight for each label, `[N]`; 0 for negative labels, which a loss leaves out by `ignore_class=-1`,
    and for the steps that a mask leaves out.

    Args:
        sample_weight: None, or weights of the rows `[B]`, or of their steps `[B, T]`; either may end in a 1.
        labels: Class numbers `[B]` or `[B, T]`.
        scores: What the model gave for these labels, as it came: it carries the mask.
        dtype: Of the result.
    """
    counts = ops.cast(labels >= 0, dtype) * Unmasked(dtype)(labels, scores)
    if sample_weight is not None:
        weights = ops.cast(sample_weight, dtype)
        if len(weights.shape) > len(labels.shape):
            weights = ops.squeeze(weights, axis=-1)
        while len(weights.shape) < len(labels.shape):
            weights = ops.expand_dims(weights, axis=-1)
        counts = counts * weights
    return ops.reshape(counts, (-1,))
