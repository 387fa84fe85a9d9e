"""Curves as the script in a page draws them: few enough points, and no number that JSON lacks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from trainkit.core.logs import validation_name

__all__ = ["chart", "metric_chart", "thinned"]

MAX_POINTS = 400  # of one curve; a screen has hardly more


def thinned(x: Sequence[int], y: Sequence[float], most: int = MAX_POINTS) -> tuple[list[int], list[float]]:
    """About `most` finite points of a curve at most: the lowest and the highest of each stretch."""
    points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)]
    if len(points) > most:
        size = math.ceil(2 * len(points) / most)
        kept = []
        for i in range(0, len(points), size):
            stretch = points[i : i + size]
            ends = {min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])}
            kept += sorted(ends)
        points = sorted({points[0], *kept, points[-1]})
    return [a for a, _ in points], [float(f"{b:.7g}") for _, b in points]


def chart(
    name: str,
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    mark: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """What `drawChart` takes.

    Args:
        name: What the values are.
        curves: Epochs and values by label.
        mark: Epoch that is marked as the best.
        more: Further entries, such as `log`.
    """
    series = []
    for label, (epochs, values) in curves.items():
        x, y = thinned(epochs, values)
        series.append({"name": label, "x": x, "y": y})
    found = {"x": "epoch", "y": name, "wholeX": True, "series": series, **more}
    if mark:
        found["mark"] = {"x": mark, "text": f"best: epoch {mark}"}
    return found


def metric_chart(
    name: str, curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], mark: int | None
) -> dict[str, Any]:
    """A metric over the epochs, of the training and the validation rows."""
    pair = {"training": curves[name]}
    if validation_name(name) in curves:
        pair["validation"] = curves[validation_name(name)]
    return chart(name, pair, mark)
