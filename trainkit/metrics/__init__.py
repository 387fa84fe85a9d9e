"""Metrics that Keras lacks, and metrics and losses by name."""

from trainkit.metrics.calibration import CalibrationError
from trainkit.metrics.classification import F1, BalancedAccuracy, ClassAUC, Precision, Recall
from trainkit.metrics.units import InTargetUnit, InUnits, RootMeanSquaredErrorInUnits

__all__ = [
    "F1",
    "BalancedAccuracy",
    "CalibrationError",
    "ClassAUC",
    "InTargetUnit",
    "InUnits",
    "Precision",
    "Recall",
    "RootMeanSquaredErrorInUnits",
]
