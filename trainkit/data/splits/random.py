"""Rows held out at random, by scikit-learn."""

from __future__ import annotations

import math

import numpy as np

from trainkit.core.cells import quoted
from trainkit.core.datasets import Arrays, Fold
from trainkit.core.errors import UserError

__all__ = ["check_class_sizes", "check_share", "held_out", "holdout", "k_folds", "shuffled"]


def holdout(
    arrays: Arrays, share: float | Fold, seed: int, *, stratify: np.ndarray | None = None
) -> tuple[Arrays, Arrays | None]:
    """Hold out a share of the rows, chosen at random.

    The rows are those of scikit-learn's `train_test_split(test_size=share, random_state=seed)`.

    Args:
        arrays: Rows to split.
        share: Part of the rows to hold out, `0 <= share < 1`; 0 holds nothing out. Or a fold to hold out.
        seed: Of the shuffle; the same seed gives the same rows.
        stratify: Class of each row `[N]`: both parts then have the classes in the same proportions.

    Returns:
        The rows that remain and the rows held out (None for `share=0`), both shuffled.

    Raises:
        UserError: for a share outside of [0, 1), or so few rows that a part would be empty or lack a class.
    """
    if isinstance(share, Fold):
        rest, held = k_folds(len(arrays), share.folds, seed, labels=stratify)[share.number]
        return arrays.select(rest), arrays.select(held)
    check_share("validation", share)
    if share == 0:
        return arrays, None
    rest, held = held_out("validation", len(arrays), share, seed, stratify)
    return arrays.select(rest), arrays.select(held)


def shuffled(
    rows: int, share: float, seed: int, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers that remain and row numbers held out, both shuffled.

    Args:
        rows: Number of rows.
        share: Part of the rows to hold out, `0 < share < 1`.
        seed: Of the shuffle.
        labels: Class of each row `[rows]`, to keep the classes' proportions in both parts.

    Raises:
        ValueError: if a part would be empty or lack a class.
    """
    from sklearn.model_selection import train_test_split

    rest, held = train_test_split(np.arange(rows), test_size=share, random_state=seed, stratify=labels)
    return rest, held


def k_folds(
    rows: int,
    folds: int,
    seed: int,
    *,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split the rows into folds, each held out once.

    Args:
        rows: Number of rows.
        folds: Number of folds, at least 2.
        seed: Of the shuffle.
        labels: Class of each row `[rows]`: every fold then has the classes in about the same proportions.
        groups: Group of each row `[rows]`: a group is then never in two folds.

    Returns:
        For each fold the row numbers that remain and those held out, ascending.

    Raises:
        UserError: for fewer rows, groups or rows of a class than folds.
    """
    from sklearn import model_selection

    if not 2 <= folds <= rows:
        raise UserError(f"data.folds={folds} cannot split {rows} rows; expected 2 to {rows}.")
    if groups is not None and len(set(groups.tolist())) < folds:
        raise UserError(f"data.folds={folds} needs {folds} groups; there are {len(set(groups.tolist()))}.")
    if labels is not None:
        check_class_sizes(labels, folds)
    splitter = {
        (False, False): model_selection.KFold,
        (True, False): model_selection.StratifiedKFold,
        (False, True): model_selection.GroupKFold,
        (True, True): model_selection.StratifiedGroupKFold,
    }[labels is not None, groups is not None]
    parts = splitter(folds, shuffle=True, random_state=seed).split(np.zeros(rows), labels, groups)
    return [(np.sort(rest), np.sort(held)) for rest, held in parts]


def check_share(name: str, share: float) -> None:
    if not 0 <= share < 1:
        raise UserError(
            f"data.{name}={share} is not a share of the rows; "
            "expected 0 (none held out) or more, and less than 1, e.g. 0.2."
        )


def check_class_sizes(labels: np.ndarray, at_least: int) -> None:
    values, counts = np.unique(labels, return_counts=True)
    if counts.min() < at_least:
        rarest = counts.argmin()
        raise UserError(
            f"Class {quoted(values[rarest])} has {counts[rarest]} rows; expected at least {at_least}, one "
            "for each part. Use data.split=auto, or leave the class out."
        )


def held_out(
    name: str, rows: int, share: float, seed: int, labels: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """As `shuffled`.

    Args:
        name: Of the split that is held out, for messages.
        rows: As for `shuffled`, as are the others.

    Raises:
        UserError: if a part would be empty or lack a class.
    """
    try:
        return shuffled(rows, share, seed, labels)
    except ValueError as error:
        what, advice = _hindrance(f"data.{name}", rows, share, labels)
        raise UserError(f"Cannot hold {share:g} of {rows} rows out: {what}. {advice}.") from error


def _hindrance(key: str, rows: int, share: float, labels: np.ndarray | None) -> tuple[str, str]:
    """Why a share of the rows cannot be held out, and what helps."""
    held = math.ceil(share * rows)
    if labels is None:
        return f"{rows - held} would be left to train on", f"Lower {key}, or take more rows"
    values, counts = np.unique(labels, return_counts=True)
    classes = len(values)
    if counts.min() < 2:
        rarest = quoted(values[counts.argmin()])
        return f"class {rarest} has one of them, and both parts need one", "Leave the class out"
    small = min(held, rows - held)
    place = "held out" if small == held else "left to train on"
    what = f"{small} rows {place} cannot have one of each of {classes} classes"
    least = math.ceil(100 * classes / rows) / 100  # at most a half, which always works
    return what, f"Raise {key} to {least:g} or more" if small == held else f"Lower {key}"
