"""Columns of categories: as an index for an embedding, one-hot, or one number."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trainkit.core.cells import quoted
from trainkit.data import cells
from trainkit.data.preparation.encoder import ColumnEncoder, refuse_null
from trainkit.data.preparation.settings import ColumnSettings

__all__ = ["FIRST_KNOWN", "MISSING", "OTHER", "CategoryEncoder", "fit_categories"]

MISSING = 0  # index of a gap
OTHER = 1  # index of a category that was rare in training, or not there
FIRST_KNOWN = 2
LISTED = 5  # categories that a note names
MAX_RARE = 1000  # rare categories that are kept, only to tell them from unseen ones


@dataclass(frozen=True)
class CategoryEncoder(ColumnEncoder):
    """Categories, numbered: 0 is a gap, 1 a rare or unseen one, from 2 on those that are known.

    Args:
        name: Of the column.
        known: The categories that are told apart, the most frequent first.
        encoding: `integer`, `one_hot` or `embedding`.
        kept: Indices that have a column in `one_hot`. One that no training row had has none: nothing could be
            learned about it, so it is all zeros.
        missing: Texts of the raw column that are gaps.
        rare: The other categories of the training rows; None: not known, since they are too many, or an older
            version fitted it.
        booleans: Categories that the schema reads in every spelling in upper and lower case.
    """

    known: tuple[str, ...]
    encoding: str
    kept: tuple[int, ...]
    missing: tuple[str, ...] = ()
    rare: tuple[str, ...] | None = None
    booleans: tuple[str, ...] = ()

    kind: ClassVar[str] = "category"

    @property
    def own_array(self) -> bool:
        return self.encoding == "embedding"

    @property
    def size(self) -> int:
        """Number of indices: the input size of an embedding."""
        return FIRST_KNOWN + len(self.known)

    def indices(self, values: np.ndarray) -> np.ndarray:
        """The index of each value `[N]` int32."""
        different, codes = cells.distinct(values)
        index = np.array([self._index.get(value, OTHER) for value in different], np.int32)
        return np.asarray(index[codes])

    def note_unseen(self, values: np.ndarray) -> str:
        """What to say of categories in values `[N]` that no training row had; "" if there are none."""
        unseen = set(values) - {*self._index, *(self.rare or ())}
        if not unseen:
            return ""
        count = sum(value in unseen for value in values)
        first = next(value for value in values if value in unseen)
        listed = ", ".join(map(quoted, sorted(self.known)[:LISTED]))
        more = ", ..." if len(self.known) > LISTED else ""
        seldom = ", or seldom had" if self.rare is None else ""
        return (
            f"{self.name}: {count} of {len(values)} cells are categories that the training did not have"
            f"{seldom}, such as {quoted(first)}; known are {listed or 'none'}{more}"
        )

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        gaps = dict.fromkeys(("", *self.missing), MISSING)
        return {**gaps, **{value: FIRST_KNOWN + i for i, value in enumerate(self.known)}}

    def encode(self, values: np.ndarray) -> np.ndarray:
        indices = self.indices(values)
        if self.encoding == "embedding":
            return indices
        if self.encoding == "integer":
            return indices[:, None].astype(np.float64)
        return np.asarray(np.equal(indices[:, None], np.array(self.kept, np.int32)), np.float64)

    def names(self) -> tuple[str, ...]:
        if self.encoding == "embedding":
            return ()
        if self.encoding == "integer":
            return (self.name,)
        words = {MISSING: f"{self.name} is missing", OTHER: f"{self.name} is rare or unseen"}
        return tuple(words.get(i) or f"{self.name}={self.known[i - FIRST_KNOWN]}" for i in self.kept)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> CategoryEncoder:
        """The inverse of `to_dict`."""
        lists = {key: tuple(state[key]) for key in ("known", "kept", "missing")}
        rare = state.get("rare")
        rare = None if rare is None else tuple(rare)
        lists["booleans"] = tuple(state.get("booleans", ()))
        return cls(name=state["name"], encoding=state["encoding"], rare=rare, **lists)


def fit_categories(
    name: str,
    values: np.ndarray,
    settings: ColumnSettings,
    missing: tuple[str, ...] = (),
    booleans: tuple[str, ...] = (),
) -> CategoryEncoder:
    """Fit to the training rows of a column.

    Args:
        name: Of the column.
        values: Texts `[N]`, "" where missing.
        settings: How.
        missing: Texts of the raw column that are gaps, for the exported model.
        booleans: As `ColumnSchema.booleans` gives them, for the exported model.

    Raises:
        UserError: for a category with the character NUL.
    """
    different, codes = cells.distinct(values)
    refuse_null(name, different)
    counts = dict(zip(different, np.bincount(codes, minlength=len(different)).tolist(), strict=True))
    frequent = [value for value in counts if value and counts[value] >= settings.min_rows]
    known = tuple(sorted(frequent, key=lambda value: (-counts[value], value))[: settings.max_categories])
    encoding = settings.encoding
    if encoding == "auto":
        encoding = "one_hot" if len(known) <= settings.max_one_hot else "embedding"
    encoder = CategoryEncoder(name, known, encoding, (), missing)
    kept = tuple(np.unique(encoder.indices(values)).tolist()) if encoding == "one_hot" else ()
    others = set(counts) - {"", *known}
    rare = tuple(sorted(others)) if len(others) <= MAX_RARE else None
    return CategoryEncoder(name, known, encoding, kept, missing, rare, booleans)
