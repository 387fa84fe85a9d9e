"""Metrics that Keras lacks."""

from trainkit.metrics.calibration import CalibrationError
from trainkit.metrics.classification import F1, BalancedAccuracy
from trainkit.metrics.units import InUnits, RootMeanSquaredErrorInUnits

__all__ = ["F1", "BalancedAccuracy", "CalibrationError", "InUnits", "RootMeanSquaredErrorInUnits"]
