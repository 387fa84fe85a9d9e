"""Columns of dates as numbers: the day, and the place in the year, the week and the day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trainkit.data.date_formats import DAY, DateFormat
from trainkit.data.preparation.encoder import ColumnEncoder
from trainkit.data.preparation.numeric import fill_value
from trainkit.data.preparation.scaling import Scaling, fit_scaling
from trainkit.data.preparation.settings import ColumnSettings

__all__ = ["CYCLES", "DateEncoder", "fit_dates"]

# Steps of each cycle. A year has twelve steps, a week seven, a day one for each second.
CYCLES = {"month": 12, "weekday": 7, "hour": DAY}


@dataclass(frozen=True)
class DateEncoder(ColumnEncoder):
    """Dates as days since 1970, scaled, and as sine and cosine of their place in each cycle.

    Args:
        name: Of the column.
        format: How the dates are written.
        fill: Days since 1970 that a missing date is taken for. Its cycles are 0.
        scaling: Of the days.
        cycles: Names out of `CYCLES`; those in which all training rows are at one place are left out.
        indicator: Whether a last number is 1 where the date was missing, else 0.
    """

    format: str
    fill: float
    scaling: Scaling
    cycles: tuple[str, ...]
    indicator: bool

    kind: ClassVar[str] = "date"

    @property
    def own_array(self) -> bool:
        return False

    def encode(self, values: np.ndarray) -> np.ndarray:
        seconds, _ = DateFormat(self.format).seconds(values)
        missing = np.isnan(seconds)
        days = np.where(missing, self.fill, seconds / DAY)
        columns = [self.scaling.apply(days)]
        for cycle in self.cycles:
            angle = 2 * np.pi / CYCLES[cycle] * place_in(cycle, np.where(missing, 0, seconds))
            columns += [np.where(missing, 0, np.sin(angle)), np.where(missing, 0, np.cos(angle))]
        if self.indicator:
            columns.append(missing.astype(np.float64))
        return np.stack(columns, axis=1)

    def names(self) -> tuple[str, ...]:
        waves = [f"{self.name} {cycle} ({wave})" for cycle in self.cycles for wave in ("sin", "cos")]
        return (self.name, *waves, *([f"{self.name} is missing"] if self.indicator else []))

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> DateEncoder:
        """The inverse of `to_dict`."""
        return cls(
            state["name"],
            state["format"],
            state["fill"],
            Scaling(**state["scaling"]),
            tuple(state["cycles"]),
            state["indicator"],
        )


def place_in(cycle: str, seconds: np.ndarray) -> np.ndarray:
    """The place of moments `[N]`, in seconds since 1970, in a cycle: whole steps from 0."""
    if cycle == "hour":
        return np.asarray(seconds % DAY)
    days = np.floor(seconds / DAY).astype("datetime64[D]")
    if cycle == "weekday":
        return np.asarray((days.astype(np.int64) + 3) % 7)  # 1970 began on a Thursday
    return np.asarray(days.astype("datetime64[M]").astype(np.int64) % 12)


def fit_dates(name: str, values: np.ndarray, date_format: str, settings: ColumnSettings) -> DateEncoder:
    """Fit to the training rows of a column.

    Args:
        name: Of the column.
        values: Dates as texts `[N]`, "" where missing.
        date_format: How they are written.
        settings: How.
    """
    written = DateFormat(date_format)
    seconds, _ = written.seconds(values)
    present = seconds[~np.isnan(seconds)]
    cycles = [cycle for cycle in CYCLES if cycle != "hour" or written.has_time]
    varying = tuple(cycle for cycle in cycles if len(np.unique(place_in(cycle, present))) > 1)
    return DateEncoder(
        name,
        date_format,
        fill_value(settings, present / DAY),
        fit_scaling(settings.scaling, present / DAY, name),
        varying,
        len(present) < len(values) and settings.indicator,
    )
