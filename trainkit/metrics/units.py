"""Metrics reported in the target's original unit, for a target that was standardised for the training."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["InUnits", "RootMeanSquaredErrorInUnits"]


@keras.saving.register_keras_serializable("trainkit")
class InUnits(keras.metrics.MeanMetricWrapper):
    """The mean over the rows of `fn(y * scale + offset, prediction * scale + offset)`.

    Example:
        >>> InUnits(keras.losses.mean_absolute_error, scale=9.2, name="mae_kusd")

    Args:
        fn: The error: a Keras loss function of `(y, prediction)`, `[B, ...]` each.
        scale: Standard deviation that the target was divided by, in its unit.
        name: Of the metric.
        offset: Mean that was subtracted from the target, in its unit. Only relative errors need it, such as
            `keras.losses.mean_absolute_percentage_error`.
    """

    def __init__(
        self, fn: Any, scale: float, name: str | None = None, dtype: Any = None, offset: float = 0.0
    ) -> None:
        super().__init__(fn, name, dtype)
        self.scale = scale
        self.offset = offset

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().update_state(self._in_units(y_true), self._in_units(y_pred), sample_weight)

    def _in_units(self, values: Any) -> Any:
        scaled = values * self.scale
        return scaled + self.offset if self.offset else scaled

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


@keras.saving.register_keras_serializable("trainkit")
class RootMeanSquaredErrorInUnits(keras.metrics.RootMeanSquaredError):
    """The root of the mean squared error, times `scale`.

    Args:
        scale: Standard deviation that the target was divided by, in its unit.
        name: Of the metric.
    """

    def __init__(self, scale: float, name: str = "rmse", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.scale = scale

    def result(self) -> Any:
        return super().result() * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}
