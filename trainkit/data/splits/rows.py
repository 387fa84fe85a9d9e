"""Which rows train, which validate, which test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainkit.core.datasets import SPLITS
from trainkit.core.errors import UserError, did_you_mean
from trainkit.data.splits.files import Rows, read_rows
from trainkit.data.splits.random import check_class_sizes, check_share, held_out

__all__ = ["SPLIT_KINDS", "SplitSettings", "split_rows", "time_folds"]

SPLIT_KINDS = ("shuffled", "stratified", "group", "time", "column", "file")

# What people write into a column that names the split.
NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing", "holdout"),
}


@dataclass(frozen=True)
class SplitSettings:
    """How rows are split.

    Args:
        kind: One of `SPLIT_KINDS`. `group` keeps rows with the same value of a column together, `time` tests
            on the latest rows, `column` reads the split's name in each row, `file` reads row numbers.
        validation: Share of the rows that are not test rows, `0 <= validation < 1`; 0: none.
        test: Share of all rows, `0 <= test < 1`; 0: none.
        seed: Of the shuffle.
        file: JSON file with the row numbers of each split, for `file`.
    """

    kind: str = "shuffled"
    validation: float = 0.2
    test: float = 0.2
    seed: int = 0
    file: str = ""


def split_rows(
    rows: int, settings: SplitSettings, *, labels: np.ndarray | None = None, by: np.ndarray | None = None
) -> Rows:
    """Split the rows of a data set.

    Args:
        rows: Number of rows.
        settings: How.
        labels: Class of each row `[rows]`, for `stratified`.
        by: The column `[rows]` that `group`, `time` and `column` go by. Times are numbers, NaN where missing.

    Returns:
        The row numbers of each split: disjoint, and together all rows.

    Raises:
        UserError: for settings that cannot work, or a split that would be empty.
    """
    kind = settings.kind
    if kind not in SPLIT_KINDS:
        raise UserError(f"data.split={kind} is no way to split; {did_you_mean(kind, SPLIT_KINDS)}")
    if kind == "file":
        return read_rows(settings.file, rows)
    for name, share in (("validation", settings.validation), ("test", settings.test)):
        check_share(name, share)
    if kind == "stratified":
        if labels is None:
            raise UserError("data.split=stratified needs a target with classes; use data.split=shuffled.")
        check_class_sizes(labels, 1 + (settings.validation > 0) + (settings.test > 0))
        return _at_random(rows, settings, labels)
    if kind == "shuffled":
        return _at_random(rows, settings, None)
    if by is None:
        raise UserError(f"data.split={kind} needs the name of a column; set data.split_column.")
    if kind == "column":
        return _by_names(by)
    return _by_groups(by, settings) if kind == "group" else _by_time(by, settings)


def _at_random(rows: int, settings: SplitSettings, labels: np.ndarray | None) -> Rows:
    parts = {"train": np.arange(rows)}
    for name, share in (("test", settings.test), ("validation", settings.validation)):
        if share > 0:
            before = parts["train"]
            within = None if labels is None else labels[before]
            rest, held = held_out(name, len(before), share, settings.seed, within)
            parts |= {"train": np.sort(before[rest]), name: np.sort(before[held])}
    return {name: parts[name] for name in SPLITS if name in parts}


def _counts(rows: int, settings: SplitSettings) -> dict[str, int]:
    """Rows that each split but the first should have, at least one each."""
    test = max(1, round(rows * settings.test)) if settings.test else 0
    validation = max(1, round((rows - test) * settings.validation)) if settings.validation else 0
    return {"test": test, "validation": validation}


def _by_groups(groups: np.ndarray, settings: SplitSettings) -> Rows:
    """Whole groups in random order: to the test split until it has its share, then to validation."""
    values, codes, sizes = np.unique(groups.astype(str), return_inverse=True, return_counts=True)
    order = np.random.default_rng(settings.seed).permutation(len(values))
    split_of = np.full(len(values), "train", dtype=object)
    at = 0
    for name, wanted in _counts(len(groups), settings).items():
        taken = 0
        # A group that would overshoot by more than it now lacks stays out, unless the split has none.
        while at < len(order) and taken < wanted:
            size = sizes[order[at]]
            if taken and taken + size - wanted > wanted - taken:
                break
            split_of[order[at]] = name
            taken += size
            at += 1
    return _filled({name: np.flatnonzero(split_of[codes] == name) for name in SPLITS}, settings)


def _by_time(times: np.ndarray, settings: SplitSettings) -> Rows:
    """The earliest rows train, the latest test. Rows of the same time stay together."""
    missing = np.flatnonzero(np.isnan(times))
    if len(missing):
        raise UserError(
            f"data.split=time: {len(missing)} rows have no time, the first is row {missing[0] + 1}. "
            "Fill them, or split by another column."
        )
    split_of = np.full(len(times), "train", dtype=object)
    for name, share in (("test", settings.test), ("validation", settings.validation)):
        rest = np.sort(times[split_of == "train"])
        if share and len(rest):
            limit = rest[-max(1, round(len(rest) * share))]
            split_of[(split_of == "train") & (times >= limit)] = name
    return _filled({name: np.flatnonzero(split_of == name) for name in SPLITS}, settings)


def time_folds(times: np.ndarray, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds of which each validates on later rows than it trains on; by scikit-learn's `TimeSeriesSplit`.

    The earliest rows only train. Rows of the same time stay together.

    Args:
        times: Of each row `[rows]`, as numbers.
        folds: Number of folds.

    Returns:
        For each fold the row numbers that train and those that validate, ascending.

    Raises:
        UserError: for too few different times.
    """
    from sklearn.model_selection import TimeSeriesSplit

    distinct, codes = np.unique(times, return_inverse=True)
    if len(distinct) <= folds:
        raise UserError(
            f"data.split=time: {len(distinct)} times cannot make {folds} folds, each later than what "
            f"it trains on; expected at least {folds + 1}."
        )
    parts = TimeSeriesSplit(folds).split(distinct)
    return [(np.flatnonzero(codes <= rest[-1]), np.flatnonzero(np.isin(codes, held))) for rest, held in parts]


def _by_names(column: np.ndarray) -> Rows:
    split_of = {written: name for name, spellings in NAMES.items() for written in spellings}
    found = np.array([split_of.get(str(value).strip().lower(), "") for value in column], dtype=object)
    unknown = np.flatnonzero(found == "")
    if len(unknown):
        value = str(column[unknown[0]])
        hint = did_you_mean(value, SPLITS)
        raise UserError(
            f"data.split=column: {value!r} in row {unknown[0] + 1} names no split; {hint} For a column of "
            "groups or times, set data.split=group or time."
        )
    if not (found == "train").any():
        raise UserError("data.split=column: no row is named train; expected training rows.")
    return {name: np.flatnonzero(found == name) for name in SPLITS if (found == name).any()}


def _filled(parts: Rows, settings: SplitSettings) -> Rows:
    """The splits that were asked for, none of them empty."""
    wanted = {"train": 1.0, "validation": settings.validation, "test": settings.test}
    for name, rows in parts.items():
        if wanted[name] and len(rows) == 0:
            sizes = ", ".join(f"{len(part)} {split}" for split, part in parts.items())
            raise UserError(
                f"data.split={settings.kind} leaves no {name} rows ({sizes}): too few different "
                "values. Split by another column, or change data.validation and data.test."
            )
    return {name: rows for name, rows in parts.items() if wanted[name]}
