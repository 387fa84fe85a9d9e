"""Folds of a task: its rows but the test rows, split so that each part validates once."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from trainkit.core.datasets import Arrays, Fold, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.core.tree import leaves, named_leaves, pack_leaves
from trainkit.data.splits.random import k_folds

__all__ = ["fold_of", "unsplit"]


def fold_of(task: Task, number: int, folds: int, data: Splits | None = None) -> tuple[Task, Splits | None]:
    """A task that validates on one fold, and trains on the others; the test rows stay what they are.

    A task that can validate on other rows (`Task.with_validation`) splits them before it prepares them: what
    it fits, it fits to the training rows of the fold. The rows of any other task are split as its `data()`
    gives them; what it fits in `model(train)` is fitted to the training rows of the fold.

    Args:
        task: The task.
        number: The fold that validates, from 0.
        folds: How many there are.
        data: Rows to use in place of `task.data()`.

    Returns:
        The task, and the rows to use in place of its own; None: its own.

    Raises:
        UserError: for rows that are not arrays, or too few of them.
    """
    folded = task.with_validation(Fold(number, folds)) if data is None else None
    if folded is not None:
        return folded, None
    splits = data or task.data()
    rows = _all_rows(task, splits)
    labels = _classes(rows.y, folds)
    rest, held = k_folds(len(rows), folds, 0, labels=labels)[number]
    return task, dataclasses.replace(splits, train=rows.select(rest), validation=rows.select(held))


def unsplit(task: Task, data: Splits | None = None) -> tuple[Task, Splits | None]:
    """A task that trains on its validation rows too, and validates on none.

    Args:
        task: The task.
        data: Rows to use in place of `task.data()`.

    Returns:
        The task, and the rows to use in place of its own; None: its own.

    Raises:
        UserError: for rows that are not arrays.
    """
    whole = task.with_validation(0.0) if data is None else None
    if whole is not None:
        return whole, None
    splits = data or task.data()
    return task, dataclasses.replace(splits, train=_all_rows(task, splits), validation=None)


def _all_rows(task: Task, splits: Splits) -> Arrays:
    """The training and the validation rows together.

    Raises:
        UserError: if they are not arrays.
    """
    train = splits.train
    if not isinstance(train, Arrays):
        raise UserError(f"Task {task.name} gives its rows as a tf.data.Dataset; folds need them as arrays.")
    held = splits.validation
    if held is None:
        return train
    if (train.weight is None) != (held.weight is None):
        raise UserError(
            f"Task {task.name} weighs {'training' if held.weight is None else 'validation'} rows alone; "
            "folds need weights for all rows or for none."
        )
    first, second = ((rows.x, rows.y, rows.weight) for rows in (train, held))
    if _form(train) != _form(held):
        raise UserError(
            f"Task {task.name}: training rows have {_form(train)}, validation rows {_form(held)}; folds need "
            "rows of one form."
        )
    pairs = zip(leaves(first), leaves(second), strict=True)
    return Arrays(*pack_leaves(first, [np.concatenate(pair) for pair in pairs]))


def _form(rows: Arrays) -> dict[str, tuple[int, ...]]:
    """The arrays of some rows by their paths, and the shape of a row."""
    parts = {"x": rows.x, "y": rows.y, "weight": rows.weight}
    return {path: array.shape[1:] for path, array in named_leaves(parts)}


def _classes(y: Any, folds: int) -> np.ndarray | None:
    """The class of each row, if the labels are classes with enough rows each; None: split without classes."""
    if not isinstance(y, np.ndarray):
        return None
    if y.ndim == 2 and y.shape[1] > 1 and np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all():
        y = y.argmax(1)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    whole = y.ndim == 1 and (np.issubdtype(y.dtype, np.integer) or np.isin(y, (0, 1)).all())
    if not whole or np.unique(y, return_counts=True)[1].min() < folds:
        return None
    return np.asarray(y)
