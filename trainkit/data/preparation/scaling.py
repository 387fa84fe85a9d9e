"""Scaling of numbers, fitted once and inverted exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trainkit.core.errors import UserError
from trainkit.data.columns import setting_of

__all__ = ["Scaling", "check_range", "fit_scaling"]

ROUNDING = 1e-12  # of numbers that are the same, next to the numbers


@dataclass(frozen=True)
class Scaling:
    """Scales numbers: `y = (g(x) - center) / scale`, where `g(x)` is `log(1 + max(x - low, 0))` or x.

    Args:
        kind: One of `SCALINGS`; the logarithm is taken for `log`.
        center: In the unit of `g(x)`.
        scale: In the unit of `g(x)`, never 0.
        low: Least number of the training rows, for `log`.
    """

    kind: str
    center: float = 0.0
    scale: float = 1.0
    low: float = 0.0

    @property
    def is_log(self) -> bool:
        """Whether the logarithm is taken first."""
        return self.kind == "log"

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Numbers of any shape, scaled, as float64."""
        x = np.asarray(x, np.float64)
        if self.is_log:
            x = np.log1p(np.maximum(x - self.low, 0.0))
        return (x - self.center) / self.scale

    def invert(self, y: np.ndarray) -> np.ndarray:
        """The numbers, in their own unit, that `apply` made `y` of."""
        x = np.asarray(y, np.float64) * self.scale + self.center
        return np.expm1(x) + self.low if self.is_log else x


def check_range(name: str, scaled: np.ndarray, values: np.ndarray) -> None:
    """Refuse numbers that are infinite as the float32 that a model takes.

    Args:
        name: Of the column.
        scaled: Numbers `[N]`, as `Scaling.apply` gives them.
        values: The same in their own unit `[N]`.

    Raises:
        UserError: naming the first.
    """
    too_large = np.flatnonzero(np.abs(scaled) > np.finfo(np.float32).max)
    if len(too_large):
        raise UserError(_too_far(name, values[too_large[0]]))


def fit_scaling(kind: str, values: np.ndarray, name: str = "") -> Scaling:
    """Fit a scaling to numbers `[N]`, none of them NaN. A spread of 0, or within the rounding of the numbers
    themselves, is taken for 1, however small they are.

    Args:
        kind: One of `SCALINGS`.
        values: Of the training rows.
        name: Of the column, for the error.

    Raises:
        UserError: for numbers so large that their center or spread is infinite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaling = _fit(kind, values)
    if not (math.isfinite(scaling.center) and math.isfinite(scaling.scale)):
        raise UserError(_too_far(name, values[np.abs(values).argmax()]))
    return scaling


def _too_far(name: str, value: float) -> str:
    gap = setting_of(name, f'["{value:.17g}"]', "missing")
    return (
        f"data.columns.{name}: {value:.17g} is too far from the other numbers to be scaled. Mend it, or set "
        f"{gap} if it means a gap, with the cell as the file has it, and the other gaps of the column."
    )


def _fit(kind: str, values: np.ndarray) -> Scaling:
    if kind == "none" or len(values) == 0:
        return Scaling(kind if kind != "log" else "none")
    if kind == "pixels":
        return Scaling(kind, 0.0, 255.0)
    low = float(values.min())
    high = float(values.max())
    if kind == "log":
        values = np.log1p(values - low)
    if kind == "min_max":
        center, spread = low, high - low
    elif kind == "robust":
        quarters = np.quantile(values, [0.25, 0.5, 0.75])
        center, spread = float(quarters[1]), float(quarters[2] - quarters[0])
    else:
        center, spread = float(values.mean()), float(values.std())
    is_constant = spread <= ROUNDING * abs(center)
    if kind == "log":  # whose centre is no measure for the rounding: it may be 0 for large numbers
        is_constant = spread == 0.0 or high - low <= ROUNDING * max(abs(low), abs(high))
    return Scaling(kind, center, 1.0 if is_constant else spread, low if kind == "log" else 0.0)
