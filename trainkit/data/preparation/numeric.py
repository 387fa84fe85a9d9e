"""Columns of numbers: missing ones filled and marked, all scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trainkit.data.preparation.encoder import ColumnEncoder
from trainkit.data.preparation.scaling import Scaling, check_range, fit_scaling
from trainkit.data.preparation.settings import ColumnSettings

__all__ = ["NumericEncoder", "fill_value", "fit_numeric"]


@dataclass(frozen=True)
class NumericEncoder(ColumnEncoder):
    """Numbers, scaled.

    Args:
        name: Of the column.
        fill: What a missing number is taken for, in the column's own unit.
        scaling: Applied to all.
        indicator: Whether a second number is 1 where the value was missing, else 0.
    """

    fill: float
    scaling: Scaling
    indicator: bool

    kind: ClassVar[str] = "numeric"

    @property
    def own_array(self) -> bool:
        return False

    def encode(self, values: np.ndarray) -> np.ndarray:
        missing = ~np.isfinite(values)
        scaled = self.scaling.apply(np.where(missing, self.fill, values))
        check_range(self.name, scaled, values)
        return np.stack([scaled, missing.astype(np.float64)], axis=1) if self.indicator else scaled[:, None]

    def names(self) -> tuple[str, ...]:
        return (self.name, f"{self.name} is missing") if self.indicator else (self.name,)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> NumericEncoder:
        """The inverse of `to_dict`."""
        return cls(state["name"], state["fill"], Scaling(**state["scaling"]), state["indicator"])


def fit_numeric(name: str, values: np.ndarray, settings: ColumnSettings) -> NumericEncoder:
    """Fit to the training rows of a column.

    Args:
        name: Of the column.
        values: Numbers `[N]` float64, NaN where missing.
        settings: How.
    """
    present = values[np.isfinite(values)]
    has_gaps = len(present) < len(values)
    scaling = fit_scaling(settings.scaling, present, name)
    return NumericEncoder(name, fill_value(settings, present), scaling, has_gaps and settings.indicator)


def fill_value(settings: ColumnSettings, present: np.ndarray) -> float:
    """What a missing number is taken for; 0 if there are no others."""
    if not isinstance(settings.fill, str):
        return float(settings.fill)
    if settings.fill == "zero" or len(present) == 0:
        return 0.0
    return float(np.median(present) if settings.fill == "median" else present.mean())
