"""Refuses targets that cannot be learned, before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from trainkit.core.cells import quoted
from trainkit.core.errors import UserError
from trainkit.data import cells
from trainkit.data.cells import NUMBER
from trainkit.data.columns import gaps_of
from trainkit.data.kinds import Cells
from trainkit.data.number_marks import refuse_marks

__all__ = [
    "MAX_CLASSES",
    "check_apart",
    "check_classes",
    "check_files",
    "check_target",
    "check_weights",
    "class_notes",
    "rows_with_target",
]

MAX_CLASSES = 1000
LISTED = 5  # classes that a message names


def check_target(column: Cells, problem: str) -> None:
    """Refuse a target that is constant, no number for a regression, or has too many classes.

    Args:
        column: The target's cells.
        problem: `classification`, `multi_label`, `regression`, or "" for any.

    Raises:
        UserError: naming `data.target`.
    """
    key = f"data.target={column.name}"
    kind = "numeric" if problem == "regression" else "category"
    values = column.values(kind)
    has_none = problem == "multi_label" and sum(values.values()) < len(column.raw)
    if len(values) + has_none < 2:
        one = " or ".join(map(quoted, column.written(kind)))
        what = f"is {one} in every row" if values else "has no values"
        raise UserError(f"{key} {what}: there is nothing to predict. Expected at least two different values.")
    no_numbers = [value for value in values if not NUMBER.fullmatch(value)]
    if problem == "regression" and no_numbers:
        refuse_marks(column.name, values)
        count = sum(values[value] for value in no_numbers)
        known = [gap for gap in column.gaps(kind) if gap in column.counts]
        # Where all cells are text, none of them is a gap.
        gaps = f", or {gaps_of(column.name, [*known, *no_numbers])}" if len(no_numbers) < len(values) else ""
        raise UserError(
            f"{key}: {count} of {sum(values.values())} cells {'is' if count == 1 else 'are'} no number, e.g. "
            f"{quoted(no_numbers[0])}; a regression needs numbers. Use task=tabular_classification{gaps}."
        )
    if problem == "regression":
        check_apart(column.name, len(set(map(float, values))), values, "as float64", "Subtract a constant")
    if problem == "classification":
        _check_number_of_classes(key, values, is_numeric=not no_numbers)


def check_apart(name: str, apart: int, values: Collection[Any], how: str, remedy: str) -> None:
    """Refuse a number of which at least half of the different values become the same in what computes.

    Args:
        name: Of the target's column.
        apart: How many remain different.
        values: The different ones, as texts or numbers.
        how: In what they are computed.
        remedy: What helps.

    Raises:
        UserError: naming how many remain.
    """
    if len(values) < 2 or 2 * apart > len(values):
        return
    different = len(set(map(Decimal, values)))  # 1 and 1.0 are the same
    if 2 * apart <= different:
        raise UserError(
            f"data.target={name}: of its {different} different values only {apart} can be told apart {how}, "
            f"so they cannot be learned. {remedy}."
        )


def _check_number_of_classes(key: str, values: Mapping[str, int], *, is_numeric: bool) -> None:
    rows = sum(values.values())
    # Numbers that seldom repeat are measured, not named; texts that never repeat name the rows.
    most = min(MAX_CLASSES, max(20, rows // 10 if is_numeric else rows // 2))
    if len(values) > most:
        advice = "use task=tabular_regression" if is_numeric else "name another column"
        raise UserError(
            f"{key} has {len(values)} classes in {rows} rows; expected at most {most}. If this is no list of "
            f"classes, {advice}."
        )


def class_notes(problem: str, target: np.ndarray, separator: str = "|") -> list[str]:
    """What people should know of the classes of a target `[N]` of texts, one sentence each.

    Args:
        problem: As for `check_target`.
        target: The target.
        separator: Between the labels of a row, for `multi_label`.
    """
    if problem not in ("classification", "multi_label"):
        return []
    values, codes = cells.distinct(target)
    counts = np.bincount(codes, minlength=len(values)).tolist()
    by_value = dict(zip(values, counts, strict=True))
    if problem == "classification":
        single = [value for value, count in by_value.items() if value and count == 1]
        return [*_case_notes(by_value), *(f"class {quoted(value)} has one row only" for value in single)]
    none = sum(count for value, count in by_value.items() if not value.replace(separator, "").strip())
    labels = {label.strip() for value in by_value for label in value.split(separator)}
    said = [f"{none} of {len(target)} rows have no label, and train as such"] if none else []
    return [*said, *_case_notes(labels)]


def _case_notes(classes: Iterable[str]) -> list[str]:
    """A sentence on the names of classes that are others in case alone, if there are any."""
    spellings: dict[str, list[str]] = {}
    for name in sorted(classes, key=lambda name: (name.casefold(), name)):
        spellings.setdefault(name.casefold(), []).append(name)
    alike = [name for group in spellings.values() if len(group) > 1 for name in group]
    if not alike:
        return []
    more = f" and {len(alike) - LISTED} more" if len(alike) > LISTED else ""
    named = ", ".join(map(quoted, alike[:LISTED]))
    return [f"classes that differ in case alone train as classes of their own: {named}{more}"]


def rows_with_target(name: str, target: np.ndarray, problem: str, *, skip_bad: bool = False) -> np.ndarray:
    """The numbers of the rows that have a target. An empty cell of several labels is a row of none.

    Args:
        name: Of the target's column.
        target: The target as the schema reads it `[N]`: float64 with NaN for gaps, or texts with "".
        problem: As for `check_target`.
        skip_bad: Whether rows without a target are left out, instead of refused.

    Raises:
        UserError: if rows have no target and `skip_bad` is False.
    """
    if problem == "multi_label":
        return np.arange(len(target))
    gap = _gaps(target)
    if gap.any() and not skip_bad:
        raise UserError(
            f"data.target={name} has no value in {gap.sum()} of {len(gap)} rows, the first is row "
            f"{int(np.flatnonzero(gap)[0]) + 1}. Fill them, or leave these rows out by data.skip_bad=true."
        )
    return np.flatnonzero(~gap)


def check_files(name: str, target: np.ndarray, files: Sequence[tuple[str, int]]) -> None:
    """Refuse files that are splits, some of which have no target at all, as the test rows of a competition.

    Args:
        name: Of the target's column.
        target: As for `rows_with_target`.
        files: Name and rows of each, in their order.

    Raises:
        UserError: naming the first.
    """
    ends = np.cumsum([count for _, count in files])
    parts = np.split(_gaps(target), ends[:-1])
    without = [file for (file, _), gaps in zip(files, parts, strict=True) if gaps.all()]
    others = [file for file, _ in files if file not in without]
    if without and others:
        raise UserError(
            f"data.target={name} has no value in {without[0]}, which is a split by its name; train with "
            f"data.path=.../{others[0]}, and predict the rest by mode=predict predict.path=.../{without[0]}."
        )


def _gaps(target: np.ndarray) -> np.ndarray:
    return np.asarray(target == "" if cells.is_text(target) else np.isnan(target))


def check_weights(name: str, weights: np.ndarray) -> None:
    """Refuse weights `[N]` of rows that are texts, missing or negative, or all 0.

    Raises:
        UserError: naming `data.weight`.
    """
    if cells.is_text(weights):
        raise UserError(
            f"data.weight={name}: {weights[0]!r} in row 1 is a text, and so are the others; expected numbers "
            "of at least 0. Name another column, and let none of its settings make it a category."
        )
    bad = np.flatnonzero(~(weights >= 0))
    if len(bad):
        raise UserError(
            f"data.weight={name}: {len(bad)} weights are missing or negative, the first in row {bad[0] + 1}. "
            "Expected numbers of at least 0."
        )
    if not weights.any():
        raise UserError(f"data.weight={name} is 0 in every row: nothing would be trained.")


def check_classes(name: str, target: np.ndarray, splits: Mapping[str, np.ndarray]) -> None:
    """Refuse splits in which a class has no training row: it could never be predicted.

    Args:
        name: Of the target's column.
        target: Class of each row `[N]`.
        splits: Row numbers of each split, `train` among them.

    Raises:
        UserError: naming the classes.
    """
    known = set(target[splits["train"]].tolist())
    counts = Counter(target[np.concatenate(list(splits.values()))].tolist())
    for split, rows in splits.items():
        unknown = sorted({str(value) for value in target[rows].tolist() if value not in known})
        if unknown:
            more = f" and {len(unknown) - LISTED} more" if len(unknown) > LISTED else ""
            small = [name for name in splits if name != "train" and len(splits[name]) < len(counts)]
            advice = "Use data.split=stratified"
            if min(counts[value] for value in unknown) < len(splits):
                advice = f"Take more rows, at least {len(splits)} of each class"
            elif small:
                advice += (
                    f" and raise data.{small[0]} ({len(splits[small[0]])} rows cannot have one of each of "
                    f"{len(counts)} classes)"
                )
            raise UserError(
                f"data.target={name}: {', '.join(map(quoted, unknown[:LISTED]))}{more} occurs only in the "
                f"{split} rows, in no training row. {advice}, or leave these rows out."
            )
