"""Numbers, times, sizes and rates as people read them; what is too small to be measured is said to be."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

__all__ = ["NOTHING", "duration", "left_out", "moment", "number", "rate", "share", "size"]

NOTHING = "–"  # in place of a value that is not there


def number(value: Any) -> str:
    """`0.9825`, `1,234`, `3.1e-05`; a dash for what is missing."""
    if value is None:
        return NOTHING
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"


def rate(value: Any, unit: str) -> str:
    """`805 steps/s`; a dash where there was nothing to be measured."""
    if not value or not math.isfinite(value):
        return NOTHING
    return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def share(fraction: float | None) -> str:
    """`52%`, of what bounds it: nothing below half a percent, and never more than the whole."""
    if fraction is None or not 0.005 <= fraction < math.inf:
        return ""
    return f"{min(fraction, 1.0):.0%}"


def left_out(skipped: int | None, steps: int) -> str:
    """`21 of 22 steps left out`; empty where none was."""
    return f"{skipped:,} of {steps:,} steps left out" if skipped else ""


def duration(seconds: Any) -> str:
    """`1 h 05 min`, `2 min 03 s`, `4.2 s`, `35 ms`, `2.78 ms`; below a hundredth of one `under 0.01 ms`."""
    if seconds is None:
        return NOTHING
    value = float(seconds)
    if value < 1e-5:
        return "under 0.01 ms"
    if value < 1:
        return f"{value * 1000:.3g} ms" if value < 0.1 else f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def moment(text: str) -> str:
    """`2026-11-28T01:17:33+00:00` as `2026-11-28 01:17 UTC`; a text that is no time as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return when.strftime("%Y-%m-%d %H:%M UTC") if when.utcoffset() == timedelta(0) else text


def size(count: Any) -> str:
    """A number of bytes: `1.2 GB`, `35 kB`, `812 bytes`."""
    value = float(count or 0)
    if value < 1e3:
        return f"{value:.0f} bytes"
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if value >= scale:
            return f"{value / scale:,.1f} {unit}"
    return f"{value / 1e3:,.0f} kB"
