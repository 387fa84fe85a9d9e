"""How far apart two arrays are."""

from __future__ import annotations

import math

import numpy as np


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest absolute difference; infinite where the shapes differ, or only one of two entries is a number."""
    if a.shape != b.shape:
        return math.inf
    x, y = a.astype(np.float64), b.astype(np.float64)
    if not np.array_equal(np.isfinite(x), np.isfinite(y)):
        return math.inf
    gap = np.abs(x - y)[np.isfinite(x)]
    return float(gap.max()) if gap.size else 0.0


def ulp(a: np.ndarray, b: np.ndarray) -> float:
    """Largest number of float32 values that lie between two entries; for whole numbers their difference."""
    if a.shape != b.shape:
        return math.inf
    if a.dtype != np.float32 or not a.size:
        return distance(a, b)

    def ordered(x: np.ndarray) -> np.ndarray:
        bits = np.ascontiguousarray(x).view(np.int32).astype(np.int64)
        return np.where(bits < 0, -(2**31) - bits, bits)

    return float(np.abs(ordered(a) - ordered(b)).max())
