"""Where two records of the same case differ first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["Noted", "difference", "first_difference"]

Noted = list[tuple[str, Any]]


def difference(expected: Any, got: Any, where: str = "") -> str | None:
    """Where and how `got` differs from `expected`: in type, order, length, or one bit. None if in nothing."""
    if type(expected) is not type(got):
        return f"{where}: {type(got).__name__} {got!r} instead of {type(expected).__name__} {expected!r}"
    if isinstance(expected, dict):
        if list(expected) != list(got):
            return f"{where}: keys {list(got)} instead of {list(expected)}"
        pairs = ((f"{where}[{key!r}]", expected[key], got[key]) for key in expected)
        return _first(pairs)
    if isinstance(expected, (list, tuple)):
        if len(expected) != len(got):
            return f"{where}: {len(got)} entries {got!r} instead of {len(expected)} {expected!r}"
        return _first((f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(expected, got, strict=True)))
    if isinstance(expected, np.ndarray):
        return _array_difference(expected, got, where)
    both_nan = isinstance(expected, float) and math.isnan(expected) and math.isnan(got)
    return None if expected == got or both_nan else f"{where}: {got!r} instead of {expected!r}"


def first_difference(expected: Noted, got: Noted) -> str | None:
    """The first note in which the two records differ, in a line; None if they are equal."""
    for position, ((name, value), (other, seen)) in enumerate(zip(expected, got, strict=False)):
        if name != other:
            return f"note {position}: {other} instead of {name}"
        found = difference(value, seen, f"note {position}, {name}")
        if found:
            return found
    if len(expected) == len(got):
        return None
    longer = expected if len(expected) > len(got) else got
    return f"{len(got)} notes instead of {len(expected)}, from {longer[min(len(expected), len(got))][0]}"


def _first(pairs: Any) -> str | None:
    for where, a, b in pairs:
        found = difference(a, b, where)
        if found:
            return found
    return None


def _array_difference(expected: np.ndarray, got: np.ndarray, where: str) -> str | None:
    if expected.dtype != got.dtype or expected.shape != got.shape:
        return f"{where}: {got.dtype}{got.shape} instead of {expected.dtype}{expected.shape}"
    if expected.dtype == object:
        return difference(expected.tolist(), got.tolist(), where)
    if expected.tobytes() == got.tobytes():
        return None
    if not np.issubdtype(expected.dtype, np.number):
        return f"{where}: {got!r} instead of {expected!r}"
    gap = np.max(np.abs(expected.astype(np.float64) - got.astype(np.float64)))
    return f"{where}: differs by up to {gap:.3g}"
