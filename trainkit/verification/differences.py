"""How far apart two arrays, or two lists of values, are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["distance", "relative", "relative_distance", "ulp"]

Array: TypeAlias = npt.NDArray[np.generic]


def distance(a: Array, b: Array) -> float:
    """The largest absolute difference.

    It is infinite if the shapes differ, or where one entry is finite and the other is not.
    """
    if a.shape != b.shape:
        return math.inf
    x = a.astype(np.float64)
    y = b.astype(np.float64)
    if not np.array_equal(np.isfinite(x), np.isfinite(y)):
        return math.inf
    gap = np.abs(x - y)[np.isfinite(x)]
    return float(gap.max()) if gap.size else 0.0


def ulp(a: Array, b: Array) -> float:
    """The largest distance in units in the last place: how many float32 values lie between two entries.

    For other types than float32 it is `distance`.
    """
    if a.shape != b.shape:
        return math.inf
    if a.dtype != np.float32 or not a.size:
        return distance(a, b)
    return float(np.abs(_rank(a) - _rank(b)).max())


def relative(values: npt.ArrayLike, reference: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """`values` divided by the reference's size where that is above 1."""
    return np.asarray(values, np.float64) / np.maximum(1.0, np.abs(np.asarray(reference, np.float64)))


def relative_distance(a: Sequence[float], b: Sequence[float]) -> float:
    """The largest difference, relative to values of `a` above 1; infinite for different lengths."""
    if len(a) != len(b):
        return math.inf
    return distance(relative(a, a), relative(b, a))


def _rank(x: Array) -> npt.NDArray[np.int64]:
    """The place of each float32 among all of them in ascending order; 0 for both zeros."""
    bits = np.ascontiguousarray(x).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(2**31) - bits, bits)
