"""Where two records of a case differ by more than rounding does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.conformance.compare import Noted, first_difference

__all__ = ["first_gap"]

RELATIVE, ABSOLUTE = 1e-3, 1e-4  # after a dozen steps, each of which rounds otherwise
HASHES = "digest"  # of variables, which rounding changes


def first_gap(expected: Noted, got: Noted) -> str | None:
    """The first note in which two records differ by more than rounding, in a line; None if in none."""
    return first_difference(
        [(name, rounded(value, value)) for name, value in expected],
        [(name, rounded(value, reference)) for (name, value), reference in _paired(got, expected)],
    )


def _paired(got: Noted, expected: Noted) -> Iterator[tuple[tuple[str, Any], Any]]:
    values = [value for _, value in expected] + [None] * len(got)
    return zip(got, values, strict=False)


def rounded(value: Any, reference: Any) -> Any:
    """`value`, in which each number that is close to that of `reference` is the latter."""
    if isinstance(value, dict):
        known = reference if isinstance(reference, dict) else {}
        return {key: rounded(part, known.get(key)) for key, part in value.items() if key != HASHES}
    if isinstance(value, (list, tuple)):
        known = reference if isinstance(reference, (list, tuple)) else []
        parts = [*known, *[None] * len(value)]
        return type(value)(rounded(part, other) for part, other in zip(value, parts, strict=False))
    if isinstance(value, (float, np.ndarray)) and type(value) is type(reference):
        return reference if _is_close(value, reference) else value
    return value


def _is_close(value: Any, reference: Any) -> bool:
    one, other = np.asarray(value), np.asarray(reference)
    if one.shape != other.shape or one.dtype != other.dtype or not np.issubdtype(one.dtype, np.inexact):
        return False
    return np.allclose(one.astype("float64"), other.astype("float64"), RELATIVE, ABSOLUTE, equal_nan=True)
