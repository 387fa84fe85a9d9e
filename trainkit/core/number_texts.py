"""Numbers that a model computes as float32, as texts with the digits that it can tell apart."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = ["number_texts"]

# Whose spacing holds for smaller numbers, too: those near 0 have more digits than they deserve.
LEAST = 1 / 64
DOUBLES = 4 * np.finfo(np.float64).eps  # of the rounding in float64


def number_texts(values: np.ndarray, in_unit: Callable[[np.ndarray], np.ndarray]) -> list[str]:
    """Each number in its own unit: the shortest decimal that float32 does not tell from it.

    So a label is shown as it stands in its file, however large it is beside its spread.

    Args:
        values: As a model gives them or is trained on them, `[N]`.
        in_unit: Gives the numbers `[N]` in their own unit, growing with the values.
    """
    values = np.asarray(values, np.float32)
    size = np.maximum(np.abs(values), np.float32(LEAST))
    with np.errstate(all="ignore"):
        numbers = np.asarray(in_unit(values), np.float64)
        above = np.asarray(in_unit(values + np.spacing(size).astype(np.float64)), np.float64)
        errors = np.abs(above - numbers) / 2 + DOUBLES * np.abs(numbers)
    return [_text(number, error) for number, error in zip(numbers.tolist(), errors.tolist(), strict=True)]


def _text(number: float, error: float) -> str:
    """The shortest decimal no farther from a number than `error`."""
    if not (math.isfinite(number) and math.isfinite(error)):
        return str(number)
    if abs(number) <= error:
        return "0"
    digits = math.floor(math.log10(abs(number))) + 1 - math.ceil(math.log10(2 * error))
    found = number
    for count in range(max(digits, 1), 18):
        found = float(f"{number:.{count}g}")
        if abs(found - number) <= error:
            break
    return str(int(found)) if found.is_integer() and abs(found) < 1e16 else repr(found)
