"""Cells of text columns read as numbers.

A text column is an object array of `str` in which "" is a gap, as the sources give it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

import numpy as np

from trainkit.core.cells import quoted

__all__ = [
    "MARKERS",
    "MAX_NUMBER",
    "NUMBER",
    "distinct",
    "first_bad",
    "is_text",
    "numbers",
    "parsed",
    "texts",
]

# What people and programs write for a missing value.
MARKERS = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "?", "-")

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
MAX_NUMBER = 1e100  # that can be computed with: sums of squares stay finite


def is_text(column: np.ndarray) -> bool:
    """Whether the cells of a column are texts."""
    return bool(column.dtype == object)


def distinct(column: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The different cells of a text column in order of appearance, and the position of each row's own [N]."""
    position: dict[str, int] = {}
    codes = np.fromiter((position.setdefault(cell, len(position)) for cell in column), np.int64, len(column))
    return list(position), codes


def texts(column: np.ndarray, missing: Collection[str] = ()) -> np.ndarray:
    """A column as texts: object `[N]`, "" where the value is missing.

    Args:
        column: Texts or numbers `[N]`. Whole numbers are written without a fraction: `3`, not `3.0`.
        missing: Texts that stand for a missing value.
    """
    if not is_text(column):
        return np.array([_written(value) for value in column.tolist()], dtype=object)
    if not missing:
        return column
    values, codes = distinct(column)
    kept = np.array(["" if value in missing else value for value in values], dtype=object)
    return np.asarray(kept[codes])


def _written(value: float | int | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value != value:
        return ""
    return str(int(value)) if float(value).is_integer() else repr(value)


def numbers(column: np.ndarray, missing: Collection[str] = ()) -> tuple[np.ndarray, np.ndarray]:
    """A column as numbers.

    Args:
        column: Texts or numbers `[N]`.
        missing: Texts that stand for a missing value, besides "".

    Returns:
        The numbers `[N]` float64, NaN where the value is missing, and a mask `[N]` of the cells that are no
        finite number. Those are NaN too.
    """
    if not is_text(column):
        floats = column.astype(np.float64)
        gaps = np.isin(floats, [_number(marker) for marker in missing if NUMBER.fullmatch(marker)])
        return np.where(np.isinf(floats) | gaps, np.nan, floats), np.isinf(floats)
    return parsed(column, missing, _number)


def parsed(
    column: np.ndarray, missing: Collection[str], parse: Callable[[str], float]
) -> tuple[np.ndarray, np.ndarray]:
    """The cells of a text column as floats, NaN where one is a gap or bad, and a mask of the bad ones.

    Args:
        column: Texts `[N]`.
        missing: Those that stand for a missing value, besides "".
        parse: Makes a number of a text, NaN where it is none.
    """
    values, codes = distinct(column)
    present = np.array([value != "" and value not in missing for value in values], bool)
    found = np.array([parse(value) for value in values], np.float64)
    found[~present | ~np.isfinite(found)] = np.nan
    return found[codes], (present & np.isnan(found))[codes]


def _number(text: str) -> float:
    return float(text) if NUMBER.fullmatch(text) else np.nan


def first_bad(column: np.ndarray, bad: np.ndarray) -> str:
    """The first cell of a mask, for a message: `'unknown' in row 17`. Rows are counted from 1."""
    row = int(np.flatnonzero(bad)[0])
    return f"{quoted(column[row])} in row {row + 1}"
