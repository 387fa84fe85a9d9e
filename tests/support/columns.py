"""Raw columns for tests, as the sources give them."""

from __future__ import annotations

import numpy as np

__all__ = ["NUMBERS", "ROWS", "objects", "texts"]

ROWS = 40
NUMBERS = np.arange(ROWS)


def texts(*values: str) -> np.ndarray:
    """A column of `ROWS` rows that repeats these cells."""
    return np.resize(np.array(values, dtype=object), ROWS)


def objects(*values: str) -> np.ndarray:
    """A column with these cells."""
    return np.array(values, dtype=object)
