"""Refuses rows and labels that cannot be trained on, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.core.row_view import blocks
from trainkit.core.tree import leaves, named_leaves

__all__ = ["check_rows", "weighted"]


def check_rows(arrays: Arrays, name: str) -> None:
    """Refuse NaN and infinite values.

    Args:
        arrays: The rows.
        name: Of the split, for the message.

    Raises:
        UserError: with the array and column, the number of rows concerned and the first of them.
    """
    parts = {"x": arrays.x, "y": arrays.y, "weight": arrays.weight}
    for path, array in named_leaves({key: value for key, value in parts.items() if value is not None}):
        if not np.issubdtype(array.dtype, np.floating):
            continue
        rows, columns = _nonfinite(array)
        if not len(rows):
            continue
        named = array.ndim == 2 and array.shape[1] > 1
        where = f"{path}, column {columns[0]}" if named else path
        where += f" and {len(columns) - 1} more columns" if named and len(columns) > 1 else ""
        first, of = arrays.named(rows[:1], name)
        raise UserError(
            f"The {name} rows have NaN or infinite values in {where}: {len(rows)} rows, the first is row "
            f"{first[0]} {of}. Drop or fill them in the task's data(), or set trainer.allow_nonfinite=true "
            "for a model and loss that leave them out."
        )


def _nonfinite(array: Any) -> tuple[np.ndarray, np.ndarray]:
    """The rows `[n]` and columns `[m]` that have values which are not finite."""
    rows: list[np.ndarray] = []
    columns: Any = False
    begin = 0
    for block in blocks(array):
        if not np.isfinite(block).all():
            bad = ~np.isfinite(block).reshape(len(block), -1)
            rows.append(begin + np.flatnonzero(bad.any(axis=1)))
            columns = columns | bad.any(axis=0)
        begin += len(block)
    return (np.concatenate(rows), np.flatnonzero(columns)) if rows else (np.zeros(0, int), np.zeros(0, int))


def weighted(arrays: Arrays, class_weight: Mapping[int, float] | None) -> Arrays:
    """Fold class weights into the row weights, as `model.fit(class_weight=...)` does.

    Args:
        arrays: Rows with integer labels `[N]` or `[N, 1]`, or one-hot labels `[N, C]`.
        class_weight: Weight of each class; a class that is not named weighs 1. None changes nothing.

    Raises:
        UserError: if the rows have weights of their own, or no labels of which each row has one.
    """
    if not class_weight:
        return arrays
    if arrays.weight is not None:
        raise UserError("A task gives either row weights or class_weight, not both.")
    if arrays.y is None or isinstance(arrays.y, (Mapping, tuple, list)):
        came = "none" if arrays.y is None else f"{len(leaves(arrays.y))} in a {type(arrays.y).__name__}"
        raise UserError(
            f"class_weight is for one array of labels, as in Keras; got {came}. Give Arrays(weight=...), "
            "with a weight for each row."
        )
    labels = np.asarray(arrays.y)
    one_hot = labels.ndim > 1 and labels.shape[-1] > 1
    classes = labels.argmax(axis=-1) if one_hot else np.round(labels.reshape(-1))
    if not (finite := np.isfinite(classes)).all():
        raise UserError(
            f"class_weight is for labels that are whole numbers; got {classes[~finite][0]} in "
            f"{np.sum(~finite)} of {len(classes)} rows. Leave these rows out, or give Arrays(weight=...)."
        )
    weights = np.array([class_weight.get(int(label), 1.0) for label in classes], np.float32)
    return replace(arrays, weight=weights).numbered(arrays.numbers)
