"""Errors of standardised values, told in the unit that the values had before."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("trainkit")
class InUnits(keras.metrics.MeanMetricWrapper):
    """The mean over the rows of `fn(y * scale, prediction * scale)`.

    Args:
        fn: The error: a Keras loss function of `(y, prediction)`, `[B, ...]` each, e.g. `keras.losses.mean_absolute_error`.
        scale: Standard deviation by which the values were divided, in their unit.
        name: Of the metric.
    """

    def __init__(self, fn: Any, scale: float, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(fn, name, dtype)
        self.scale = scale

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().update_state(y_true * self.scale, y_pred * self.scale, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}
