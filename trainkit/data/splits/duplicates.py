"""Rows that are in two splits at once, which make a test look better than it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainkit.data.splits.files import Rows

__all__ = ["Duplicates", "find_duplicates", "fingerprints"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Duplicates:
    """Rows of one split whose features are those of a row in an earlier split.

    Args:
        split: The split.
        earlier: The earlier split, `train` or `validation`.
        count: Such rows of `split`.
        rows: All rows of `split`.
        first: Number of the first such row, from 0.
        same_as: Number of a row of `earlier` that equals it.
    """

    split: str
    earlier: str
    count: int
    rows: int
    first: int
    same_as: int

    def __str__(self) -> str:
        return (
            f"{self.count} of {self.rows} {self.split} rows have the same features as a row of "
            f"{self.earlier}, the first is row {self.first + 1} (as row {self.same_as + 1})"
        )


def find_duplicates(
    columns: Mapping[str, np.ndarray] | Iterable[np.ndarray], splits: Rows, prints: np.ndarray | None = None
) -> list[Duplicates]:
    """Count the rows that have the same features in two splits.

    Args:
        columns: Feature columns of all rows: numbers `[N, ...]`, NaN equal to NaN, or object arrays `[N]` of
            texts.
        splits: Row numbers of each split.
        prints: Fingerprint of each row, where `fingerprints` has made them already.

    Returns:
        One entry for each pair of splits with such rows.
    """
    if prints is None:
        prints = fingerprints(columns.values() if isinstance(columns, Mapping) else columns)
    names = list(splits)
    found = []
    for i, earlier in enumerate(names):
        known = prints[splits[earlier]]
        order = np.argsort(known, kind="stable")
        known = known[order]
        for split in names[i + 1 :]:
            wanted = prints[splits[split]]
            place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            same = np.flatnonzero(known[place] == wanted)
            if len(same):
                first = int(splits[split][same[0]])
                twin = int(splits[earlier][order[place[same[0]]]])
                found.append(Duplicates(split, earlier, len(same), len(wanted), first, twin))
    return found


def fingerprints(columns: Iterable[np.ndarray]) -> np.ndarray:
    """A number of each row over all columns, uint64 `[N]`; rows that differ have the same number by a chance
    of 1 in 10^19."""
    total: Any = np.uint64(0)
    for column in columns:
        total = _mixed(total + _mixed(_numbers(column) + GOLDEN))
    return np.asarray(total)


def _numbers(array: np.ndarray) -> np.ndarray:
    """A number of each row of one array, uint64 `[N]`. Texts are numbered in the order of their
    appearance."""
    if array.dtype == object:
        number: dict[str, int] = {}
        array = np.fromiter((number.setdefault(text, len(number)) for text in array), np.int64, len(array))
    elif array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.nan, array.astype(np.float64) + 0.0)  # one NaN, and no -0.0
    if array.ndim == 1:
        whole = array if array.dtype.kind == "f" else array.astype(np.int64)
        return np.ascontiguousarray(whole).view(np.uint64)
    rows = np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8)
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, np.uint64)


def _mixed(state: Any) -> Any:
    """Every bit of the result depends on every bit of the argument; products overflow as meant.

    Source: G. Steele et al.: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014 (SplitMix64).
    """
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
