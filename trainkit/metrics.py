"""Metrics that Keras lacks."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("trainkit")
class Scaled(keras.metrics.Metric):
    """Another metric times a constant: an error of standardised values, reported in the original unit.

    Args:
        metric: The metric to scale.
        factor: Its unit: the standard deviation for an absolute error, the variance for a squared one.
        name: Name in logs; default: the metric's.
    """

    def __init__(self, metric: keras.metrics.Metric, factor: float, name: str | None = None) -> None:
        super().__init__(name=name or metric.name)
        self.metric, self.factor = metric, float(factor)
        self._direction = getattr(metric, "_direction", None)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.metric.update_state(y_true, y_pred, sample_weight=sample_weight)

    def result(self) -> Any:
        return self.metric.result() * self.factor

    def reset_state(self) -> None:
        self.metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        return {"metric": keras.saving.serialize_keras_object(self.metric), "factor": self.factor, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Scaled:
        return cls(keras.saving.deserialize_keras_object(config["metric"]), config["factor"], config["name"])
