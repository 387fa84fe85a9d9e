"""Seeded splits of rows: at random, by a column, by a file, in folds; and duplicates between them."""

from __future__ import annotations

from trainkit.data.splits.duplicates import Duplicates, find_duplicates
from trainkit.data.splits.files import Rows, read_rows, write_rows
from trainkit.data.splits.random import holdout, k_folds, shuffled
from trainkit.data.splits.rows import SPLIT_KINDS, SplitSettings, split_rows, time_folds

__all__ = [
    "SPLIT_KINDS",
    "Duplicates",
    "Rows",
    "SplitSettings",
    "find_duplicates",
    "holdout",
    "k_folds",
    "read_rows",
    "shuffled",
    "split_rows",
    "time_folds",
    "write_rows",
]
