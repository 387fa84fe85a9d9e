"""Rows that are in two splits at once, which make a test look better than it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainkit.data.splits.files import Rows

__all__ = ["Duplicates", "find_duplicates"]


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
    columns: Mapping[str, np.ndarray] | Sequence[np.ndarray], splits: Rows
) -> list[Duplicates]:
    """Count the rows that have the same features in two splits.

    Args:
        columns: Feature columns of all rows: numbers `[N, ...]`, NaN equal to NaN, or object arrays `[N]` of
            texts.
        splits: Row numbers of each split.

    Returns:
        One entry for each pair of splits with such rows.
    """
    arrays = list(columns.values()) if isinstance(columns, Mapping) else list(columns)
    digests = _digests(arrays)
    names = list(splits)
    found = []
    for i, earlier in enumerate(names):
        known = {digests[row]: int(row) for row in reversed(splits[earlier].tolist())}
        for split in names[i + 1 :]:
            same = [row for row in splits[split].tolist() if digests[row] in known]
            if same:
                first = known[digests[same[0]]]
                found.append(Duplicates(split, earlier, len(same), len(splits[split]), same[0], first))
    return found


def _digests(arrays: Sequence[np.ndarray]) -> list[bytes]:
    """A fingerprint of each row over all arrays."""
    blocks = [_bytes(array) for array in arrays]
    digests = []
    for row in range(len(blocks[0])):
        digest = hashlib.blake2b(digest_size=16)
        for block in blocks:
            digest.update(block[row])
        digests.append(digest.digest())
    return digests


def _bytes(array: np.ndarray) -> np.ndarray:
    """The rows of an array as bytes `[N, n]` uint8. Texts are numbered, so that each takes the same room."""
    if array.dtype == object:
        number: dict[str, int] = {}
        array = np.fromiter((number.setdefault(text, len(number)) for text in array), np.int64, len(array))
    elif array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.nan, array + 0.0)  # one NaN, and no -0.0
    return np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8)
