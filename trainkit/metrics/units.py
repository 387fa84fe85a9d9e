"""Metrics reported in the target's original unit, for a target that was standardised for the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from trainkit.core.monitor import KERAS_DIRECTION

__all__ = ["InTargetUnit", "InUnits", "RootMeanSquaredErrorInUnits"]


def with_mask(function: Callable[[Any], Any], values: Any, dtype: str) -> Any:
    """`function(values)` with the mask of `values`, which metrics read; operations lose it, layers keep
    it."""
    if not keras.ops.is_tensor(values):
        return function(values)
    return keras.layers.Activation(function, name="in_unit", dtype=dtype)(values)


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

    value_attributes = ("scale", "offset")

    def __init__(
        self, fn: Any, scale: float, name: str | None = None, dtype: Any = None, offset: float = 0.0
    ) -> None:
        super().__init__(fn, name, dtype)
        self.scale = scale
        self.offset = offset

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add the rows of a batch `[B, ...]`."""
        predicted = with_mask(self._in_units, y_pred, self.dtype)
        return super().update_state(self._in_units(y_true), predicted, sample_weight)

    def _in_units(self, values: Any) -> Any:
        scaled = keras.ops.cast(values, self.dtype) * self.scale
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

    value_attributes = ("scale",)

    def __init__(self, scale: float, name: str = "rmse", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.scale = scale

    def result(self) -> Any:
        return super().result() * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("trainkit")
class InTargetUnit(keras.metrics.Metric):
    """Any metric of a number, computed in the number's own unit: `metric(g(y), g(prediction))` with
    `g(v) = v * scale + center`, or `expm1` of that plus `low` for a logarithmic scale.

    Args:
        metric: The metric.
        center: That was subtracted from the target.
        scale: That the target was divided by.
        low: Least number of a target whose logarithm was taken.
        log: Whether the logarithm was taken.
    """

    value_attributes = ("center", "scale", "low")

    def __init__(
        self,
        metric: keras.metrics.Metric,
        center: float = 0.0,
        scale: float = 1.0,
        low: float = 0.0,
        log: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name or metric.name)
        setattr(self, KERAS_DIRECTION, getattr(metric, KERAS_DIRECTION, None))
        self.metric = metric
        self.center = center
        self.scale = scale
        self.low = low
        self.log = log

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the rows of a batch `[B, ...]`."""
        predicted = with_mask(self._in_unit, y_pred, self.dtype)
        self.metric.update_state(self._in_unit(y_true), predicted, sample_weight)

    def _in_unit(self, values: Any) -> Any:
        numbers = keras.ops.cast(values, self.dtype) * self.scale + self.center
        return keras.ops.expm1(numbers) + self.low if self.log else numbers

    def result(self) -> Any:
        return self.metric.result()

    def reset_state(self) -> None:
        self.metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        numbers = {"center": self.center, "scale": self.scale, "low": self.low, "log": self.log}
        return {**super().get_config(), "metric": keras.saving.serialize_keras_object(self.metric), **numbers}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InTargetUnit:
        """The inverse of `get_config`."""
        return cls(**{**config, "metric": keras.saving.deserialize_keras_object(config["metric"])})
