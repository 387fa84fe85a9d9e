"""Numbers as people read them; what is too small to have been measured is never shown as a figure."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["bytes_", "duration", "number", "rate"]

NOTHING = "–"


def number(value: Any) -> str:
    """`0.9825`, `1,234`, `3.1e-05`; a dash for what is missing."""
    if value is None:
        return NOTHING
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def rate(value: Any, unit: str) -> str:
    """`805 steps/s`; a dash where there was nothing to be measured."""
    if not value:
        return NOTHING
    return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def duration(seconds: Any) -> str:
    """`1 h 05 min`, `2 min 03 s`, `4.2 s`, `35 ms`; below a millisecond `under 1 ms`."""
    if seconds is None:
        return NOTHING
    value = float(seconds)
    if value < 1e-3:
        return "under 1 ms"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def bytes_(count: Any) -> str:
    """`1.2 MB`, `35 kB`."""
    value = float(count or 0)
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{max(1, round(value / 1e3)):,} kB" if value else NOTHING
